package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves every flag, with its value, before the arguments that are
// none, for the app and the subcommand that the first argument names: people
// write dial HOST --wait 15m, and package flag stops at the first argument.
// Nothing behind "--" is moved. The error is a flag that is unknown, one whose
// value is missing (the parser would take the next flag for it), or one whose value
// cannot be one, each with what to write instead.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	args = understood(app, args)
	known := withBuiltin(app.Flags)
	var out, flags, rest []string
	inCommand := false
	out = append(out, args[0])
	for i := 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return slices.Concat(out, flags, args[i:i+1], rest, args[i+1:]), nil
		case !isFlag(a):
			if err := errors.Join(wrongDash(a), slashed(app, known, a)); err != nil {
				return nil, err
			}
			if c := app.Command(a); c != nil && !inCommand && len(rest) == 0 {
				out = append(append(out, flags...), a)
				flags, known, inCommand = nil, withBuiltin(c.Flags), true
				continue
			}
			rest = append(rest, a)
		case slices.Contains(cli.HelpFlag.Names(), flagName(a)):
			// Beside an argument it would ask for help on that.
			if i++; i < len(args) && !inCommand && len(rest) == 0 && app.Command(args[i]) != nil {
				return append(out, args[i], a), nil
			}
			return append(out, a), nil
		default:
			f := find(known, flagName(a))
			if f == nil {
				if err := wrongDash(a); err != nil {
					return nil, err
				}
				return nil, unknownFlag(app, known, a)
			}
			flag, value, has := strings.Cut(a, "=")
			if !has && !f.TakesValue() {
				flags = append(flags, a)
				continue
			}
			if !has {
				if i++; i == len(args) {
					return nil, Usagef(fmt.Sprintf("See %s --help.", app.Name), "%s has no value", a)
				}
				if value = args[i]; value == "--" || isFlag(value) && find(known, flagName(value)) != nil {
					return nil, Usagef(fmt.Sprintf("If %s is meant as the value, write %s=%s.", value, a, value), "%s has no value: %s follows it", a, value)
				}
			}
			value, err := readValue(f, flagName(a), value)
			if err != nil {
				return nil, err
			}
			flags = append(flags, flag+"="+value)
		}
	}
	return slices.Concat(out, flags, rest), nil
}

// isFlag reports whether package flag takes a for a flag; "-" alone is none.
func isFlag(a string) bool { return len(a) > 1 && a[0] == '-' }

func flagName(a string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
	return name
}

// withBuiltin adds the flags that urfave/cli adds by itself.
func withBuiltin(flags []cli.Flag) []cli.Flag {
	return append(slices.Clone(flags), cli.HelpFlag, cli.VersionFlag)
}

func find(flags []cli.Flag, name string) cli.DocGenerationFlag {
	for _, f := range flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && slices.Contains(f.Names(), name) {
			return d
		}
	}
	return nil
}
