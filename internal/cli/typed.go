package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"dialtone/internal/paste"
)

// builtinWords are subcommands that people expect, and the flag that is one here.
var builtinWords = map[string]string{"help": "--help", "version": "--version"}

// understood rewrites a command line that means a flag of the library: help,
// version and what Windows' own programs take. Only the word alone is taken for
// it, or help beside a subcommand: a host may be called so.
func understood(app *cli.App, args []string) []string {
	rest := args[min(1, len(args)):]
	for _, a := range rest {
		if a == "/?" || a == "-?" || a == "/help" || a == "/h" {
			return []string{args[0], "--help"}
		}
	}
	switch {
	case len(rest) == 1 && builtinWords[rest[0]] != "" && app.Command(rest[0]) == nil:
		return []string{args[0], builtinWords[rest[0]]}
	case len(rest) == 2 && rest[0] == "help" && app.Command(rest[1]) != nil:
		return []string{args[0], rest[1], "--help"}
	case len(rest) == 2 && rest[1] == "help" && app.Command(rest[0]) != nil:
		return []string{args[0], rest[0], "--help"}
	}
	return args
}

// slashed refuses a flag as Windows' own programs take them, /key W or /key:W. A file
// may be called so where a path begins with a slash.
func slashed(app *cli.App, known []cli.Flag, a string) error {
	name, ok := strings.CutPrefix(a, "/")
	name, value, has := strings.Cut(strings.Replace(name, ":", "=", 1), "=")
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	if !ok || find(known, name) == nil && !slices.ContainsFunc(app.Commands, func(c *cli.Command) bool { return find(c.Flags, name) != nil }) {
		return nil
	}
	if _, err := os.Lstat(a); err == nil {
		return nil
	}
	if has {
		value = " " + value
	}
	return Usagef(fmt.Sprintf("Write --%s%s.", name, value), "%q is a flag as other programs take them", a)
}

// unknownFlag says which flag is meant by one that there is not.
func unknownFlag(app *cli.App, known []cli.Flag, a string) error {
	name := flagName(a)
	err := fmt.Errorf("flag provided but not defined: -%s", name)
	plain := strings.ReplaceAll(paste.Hyphens(paste.Value(name)), "_", "-")
	if first, value, spaced := strings.Cut(plain, " "); spaced && find(known, first) != nil {
		return Usage(err, fmt.Sprintf("A space is missing between --%s and %s, or was a no-break space: write --%s %s.", first, value, first, value))
	}
	for _, c := range app.Commands {
		if f := find(c.Flags, plain); f != nil && find(known, plain) == nil {
			return Usage(err, fmt.Sprintf("--%s is a flag of %s %s.", plain, app.Name, c.Name))
		}
	}
	if find(known, plain) != nil {
		return Usage(err, fmt.Sprintf("Did you mean --%s? See %s --help.", plain, app.Name))
	}
	var names []string
	for _, f := range known {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, n)
			}
		}
	}
	if near := paste.Nearest(plain, names); near != nil {
		return Usage(err, fmt.Sprintf("Did you mean --%s? See %s --help.", strings.Join(near, " or --"), app.Name))
	}
	return Usage(err, fmt.Sprintf("See %s --help.", app.Name))
}

// wrongDash refuses an argument that would be a flag with the keyboard's hyphen.
func wrongDash(a string) error {
	meant, dashed := paste.Dashed(a)
	if !dashed {
		return nil
	}
	return Usagef(fmt.Sprintf("Write %s.", meant), "%q begins with a dash that a word processor or mail program made of a hyphen", a)
}

// readValue returns a flag's value as the library's parser reads it, or refuses what
// a flag of its kind cannot be, with what it can be. That parser takes 010 for eight.
func readValue(f cli.DocGenerationFlag, name, value string) (string, error) {
	switch f.(type) {
	case *cli.DurationFlag:
		plain := paste.Value(value)
		if _, err := time.ParseDuration(plain); err != nil {
			return "", Usagef(durationHint(name, value), "invalid value %q for flag -%s: no time", value, name)
		}
		return plain, nil
	case *cli.IntFlag:
		n, err := paste.Number(value)
		if pe, ok := errors.AsType[*paste.Error](err); ok {
			return "", Usagef(sentence(pe.Do), "invalid value %q for flag -%s: %s", value, name, pe.Problem)
		}
		return strconv.Itoa(n), nil
	case *cli.BoolFlag:
		switch plain := strings.ToLower(paste.Value(value)); plain {
		case "yes", "on":
			return "true", nil
		case "no", "off":
			return "false", nil
		default:
			if _, err := strconv.ParseBool(plain); err != nil {
				return "", Usagef(fmt.Sprintf("Write --%s, or leave it out.", name), "invalid value %q for flag -%s: neither yes nor no", value, name)
			}
			return plain, nil
		}
	}
	return value, nil
}

// units are the words for each unit of time.
var units = []struct {
	unit  string
	words []string
	hours int // 0: as it is
}{
	{"ms", []string{"ms", "msec", "millisecond", "milliseconds"}, 0},
	{"s", []string{"s", "sec", "secs", "second", "seconds", "sek"}, 0},
	{"m", []string{"m", "min", "mins", "minute", "minutes"}, 0},
	{"h", []string{"h", "hr", "hrs", "hour", "hours", "std"}, 0},
	{"h", []string{"d", "day", "days"}, 24},
	{"h", []string{"w", "week", "weeks"}, 7 * 24},
}

var isDecimal = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// durationHint says how to write what seems to be meant.
func durationHint(name, value string) string {
	text := strings.ReplaceAll(strings.ToLower(paste.Value(value)), ",", ".")
	if isDecimal.MatchString(text) {
		return fmt.Sprintf("The unit is missing: write --%s %ss for seconds, %sm for minutes, %sh for hours.", name, text, text, text)
	}
	if meant, ok := duration(text); ok {
		return fmt.Sprintf("Write --%s %s.", name, meant)
	}
	return fmt.Sprintf("Give a number and its unit, such as --%s 30s, 15m or 2h.", name)
}

// duration writes a time in words as the flags take it.
func duration(text string) (string, bool) {
	var out strings.Builder
	for text = strings.TrimSpace(text); text != ""; {
		i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return "", false
		}
		number := text[:i]
		text = strings.TrimLeft(text[i:], " ")
		end := strings.IndexFunc(text, func(r rune) bool { return r < 'a' || r > 'z' })
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		text = strings.TrimLeft(text[end:], " .:")
		known := false
		for _, u := range units {
			if !slices.Contains(u.words, word) {
				continue
			}
			known = true
			if u.hours > 0 {
				n, err := strconv.ParseFloat(number, 64)
				if err != nil {
					return "", false
				}
				number = strconv.FormatFloat(n*float64(u.hours), 'f', -1, 64)
			}
			out.WriteString(number + u.unit)
		}
		if !known {
			return "", false
		}
	}
	_, err := time.ParseDuration(out.String())
	return out.String(), err == nil
}

// Slip says that an argument is nearly the name of a subcommand; "" if it is
// not.
func Slip(app *cli.App, arg string) string {
	if strings.ContainsAny(arg, "./\\:") {
		return ""
	}
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	if near := paste.Nearest(arg, names); near != nil && near[0] != arg {
		return near[0]
	}
	return ""
}
