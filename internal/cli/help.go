package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// A Guide is what the help of a program has beside its commands and flags, and what a
// shell needs to complete them. One text is behind --help, the manual page and every
// shell's completion.
type Guide struct {
	Groups []Group
	// Examples are of each command, by its name; "": of the program without one.
	Examples map[string][]Example
	// Choices are the values that a flag of a command can have; nil: no list.
	Choices func(command, flag string) []string
}

// A Group is flags that belong together, by name.
type Group struct {
	Name  string
	Flags []string
}

// An Example is a command to run, and what for.
type Example struct{ Command, For string }

// guideKey is where an app has its Guide.
const guideKey = "guide"

// WithGuide gives an app its guide, and the command completion.
func WithGuide(app *cli.App, g Guide) *cli.App {
	app.Metadata = map[string]any{guideKey: g}
	app.Commands = append(app.Commands, completionCommand())
	return app
}

func guideOf(app *cli.App) Guide {
	g, _ := app.Metadata[guideKey].(Guide)
	return g
}

// asksForHelp returns the command that a command line, with its flags first, asks for
// the help of; nil: the program itself.
func asksForHelp(app *cli.App, args []string) (of *cli.Command, ok bool) {
	if len(args) < 2 || !slices.Contains(cli.HelpFlag.Names(), flagName(args[len(args)-1])) || !isFlag(args[len(args)-1]) {
		return nil, false
	}
	for _, a := range args[1 : len(args)-1] {
		if c := app.Command(a); c != nil {
			return c, true
		}
	}
	return nil, true
}

// writeHelp writes the help of a program, or of one of its commands.
func writeHelp(w io.Writer, app *cli.App, of *cli.Command) {
	h := help{columns: 80}
	if n := Width(w); n > 0 {
		h.columns = min(max(n, 60), 100)
	}
	g := guideOf(app)
	name, usage, text, flags := app.Name, app.Usage, app.UsageText, app.Flags
	description := app.Description
	if of != nil {
		name, usage, flags, description = app.Name+" "+of.Name, of.Usage, of.Flags, of.Description
		text = strings.TrimRight(fmt.Sprintf("%s [flags] %s", name, strings.TrimSpace(of.ArgsUsage)), " ")
	}
	h.section("name")
	h.hang("   ", name+" - "+usage, 6)
	h.section("usage")
	h.lines(text)
	if description != "" {
		h.section("description")
		h.paragraphs(description)
	}
	key := ""
	if of != nil {
		key = of.Name
	}
	if all := g.Examples[key]; len(all) > 0 {
		h.section("examples")
		for _, e := range all {
			h.b.WriteString("   " + e.Command + "\n")
			h.hang("       ", e.For, 7)
		}
	}
	if of == nil && len(app.Commands) > 0 {
		h.section("commands")
		for _, c := range app.Commands {
			h.hang(fmt.Sprintf("   %-10s  ", c.Name), c.Usage, 15)
		}
		h.hang("   ", fmt.Sprintf("%s COMMAND --help has the flags of each.", app.Name), 3)
	}
	h.section("options")
	for i, grp := range grouped(g, withBuiltin(flags)) {
		if i > 0 {
			h.b.WriteByte('\n')
		}
		h.b.WriteString("  " + grp.name + "\n")
		for _, f := range grp.flags {
			h.flag(f)
		}
	}
	io.WriteString(w, h.b.String()) //nolint:errcheck // nobody is left to be told
}

// A flagGroup is flags under a heading.
type flagGroup struct {
	name  string
	flags []cli.DocGenerationFlag
}

// otherFlags is the group of those that are in none.
const otherFlags = "Other"

// grouped sorts flags by their groups, in the groups' order.
func grouped(g Guide, flags []cli.Flag) (out []flagGroup) {
	left := slices.Clone(flags)
	for _, group := range append(slices.Clone(g.Groups), Group{otherFlags, nil}) {
		in := flagGroup{name: group.Name}
		left = slices.DeleteFunc(left, func(f cli.Flag) bool {
			d, ok := f.(cli.DocGenerationFlag)
			if !ok || group.Flags != nil && !slices.Contains(group.Flags, f.Names()[0]) {
				return false
			}
			in.flags = append(in.flags, d)
			return true
		})
		if len(in.flags) > 0 {
			out = append(out, in)
		}
	}
	return out
}

// help is a help text under construction.
type help struct {
	b       strings.Builder
	columns int
}

func (h *help) section(name string) {
	if h.b.Len() > 0 {
		h.b.WriteByte('\n')
	}
	h.b.WriteString(strings.ToUpper(name) + ":\n")
}

// flag writes a flag, and what it is for beside it.
func (h *help) flag(f cli.DocGenerationFlag) {
	const column = 24
	names, usage := flagWords(f)
	lead := "   " + names + "  "
	if utf8.RuneCountInString(lead) > column {
		h.b.WriteString(strings.TrimRight(lead, " ") + "\n")
		lead = ""
	}
	h.hang(lead+strings.Repeat(" ", column-utf8.RuneCountInString(lead)), usage, column)
}

// flagWords are a flag with its placeholder, and its usage with what it is by default.
func flagWords(f cli.DocGenerationFlag) (names, usage string) {
	var all []string
	for _, n := range f.Names() {
		all = append(all, strings.Repeat("-", min(2, len(n)))+n)
	}
	usage = f.GetUsage()
	value := placeholderOf(f)
	usage = strings.Replace(usage, "`"+value+"`", value, 1)
	names = strings.Join(all, ", ")
	if value != "" {
		names += " " + value
	}
	switch by := strings.Trim(f.GetDefaultText(), `"`); by {
	case "", "false", "0", "0s":
	default:
		if f.TakesValue() || by != "" && f.GetValue() == "true" {
			usage += " (default: " + shortDuration(by) + ")"
		}
	}
	return names, usage
}

// placeholderOf is what stands for a flag's value; "": it takes none.
func placeholderOf(f cli.DocGenerationFlag) string {
	if !f.TakesValue() {
		return ""
	}
	if _, after, ok := strings.Cut(f.GetUsage(), "`"); ok {
		if value, _, ok := strings.Cut(after, "`"); ok {
			return value
		}
	}
	return "VALUE"
}

// shortDuration is a duration as people write it: 8h, not 8h0m0s.
func shortDuration(s string) string {
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// lines writes lines as they are, each below the words of which it goes on.
func (h *help) lines(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		at := strings.Index(strings.TrimLeft(line, " "), "  ")
		margin := 7
		if at > 0 {
			rest := strings.TrimLeft(line[at:], " ")
			margin = 3 + len(line) - len(rest)
			if margin > h.columns/2 {
				margin = 7
			}
		}
		h.hangKept("   ", line, margin)
	}
}

// paragraphs writes a text, each paragraph wrapped.
func (h *help) paragraphs(text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			h.b.WriteByte('\n')
		}
		h.hang("   ", strings.Join(strings.Fields(p), " "), 3)
	}
}

// hang writes a text after a lead, wrapped, each further line so far in.
func (h *help) hang(lead, text string, margin int) {
	h.hangKept(lead, strings.Join(strings.Fields(text), " "), margin)
}

// hangKept does so with a text whose spaces stay on the first line.
func (h *help) hangKept(lead, text string, margin int) {
	line := lead
	for first := true; ; first = false {
		room := h.columns - utf8.RuneCountInString(line)
		runes := []rune(text)
		if len(runes) <= room {
			h.b.WriteString(strings.TrimRight(line+text, " ") + "\n")
			return
		}
		end := strings.LastIndex(string(runes[:max(room, 0)+1]), " ")
		if end <= 0 {
			if end = strings.Index(text, " "); end < 0 || !first && end < 0 {
				h.b.WriteString(line + text + "\n")
				return
			}
		}
		h.b.WriteString(strings.TrimRight(line+text[:end], " ") + "\n")
		text = strings.TrimLeft(text[end:], " ")
		line = strings.Repeat(" ", margin)
	}
}

// Gaps are what the guide of a program lacks, and what it says of what is not there: a
// flag that none of its groups has, an example of another command, or with another
// flag. There should be none.
func Gaps(app *cli.App) (out []string) {
	g := guideOf(app)
	for _, c := range append([]*cli.Command{{Flags: app.Flags}}, app.Commands...) {
		for _, grp := range grouped(g, c.Flags) {
			for _, f := range grp.flags {
				if grp.name == otherFlags {
					out = append(out, fmt.Sprintf("no group has %s", strings.TrimSpace(c.Name+" --"+f.Names()[0])))
				}
			}
		}
	}
	for name, examples := range g.Examples {
		flags := app.Flags
		if c := app.Command(name); c != nil {
			flags = c.Flags
		} else if name != "" {
			out = append(out, fmt.Sprintf("examples of %s, which is no command", name))
			continue
		}
		for _, e := range examples {
			if of := strings.TrimSpace(app.Name + " " + name); !strings.HasPrefix(strings.TrimPrefix(e.Command, "sudo "), of) {
				out = append(out, fmt.Sprintf("%q is no example of %s", e.Command, of))
			}
			for word := range strings.FieldsSeq(e.Command) {
				if f, ok := strings.CutPrefix(word, "--"); ok && !slices.ContainsFunc(flags, func(x cli.Flag) bool { return slices.Contains(x.Names(), f) }) {
					out = append(out, fmt.Sprintf("%q: there is no --%s", e.Command, f))
				}
			}
		}
	}
	return out
}
