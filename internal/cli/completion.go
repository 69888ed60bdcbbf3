package cli

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/urfave/cli/v2"
)

//go:embed completion
var completionFiles embed.FS

// shells are what there is a completion for: the name of each is that of the file which
// has its form.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print what has a shell complete this program's commands and flags: " + strings.Join(shells, ", "),
		ArgsUsage: strings.Join(shells, "|"),
		Action: func(c *cli.Context) error {
			args, err := Positional(c, 1)
			if err != nil {
				return err
			}
			hint := fmt.Sprintf("Write %s completion %s.", c.App.Name, strings.Join(shells, ", or "+c.App.Name+" completion "))
			if len(args) == 0 {
				return Usagef(hint, "no shell")
			}
			if !slices.Contains(shells, args[0]) {
				return Usagef(hint, "no completion for %q", args[0])
			}
			text, err := Completion(c.App, args[0])
			if err == nil {
				_, err = c.App.Writer.Write([]byte(text))
			}
			return err
		},
	}
}

// Completion is what has a shell complete a program's commands and flags.
func Completion(app *cli.App, shell string) (string, error) {
	// No shell's own templates have these marks.
	t, err := template.New(shell).Delims("<%", "%>").Funcs(template.FuncMap{
		"join":   func(list []string) string { return strings.Join(list, " ") },
		"flags":  func(c completed) string { return strings.Join(c.flagNames(), " ") },
		"quoted": inPowerShell,
		"zsh":    func(s string) string { return strings.ReplaceAll(zshSpecial.ReplaceAllString(s, `\$0`), "'", `'\''`) },
		"fish":   func(s string) string { return strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) },
	}).ParseFS(completionFiles, "completion/"+shell)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.ExecuteTemplate(&b, shell, completedOf(app))
	return b.String(), err
}

// zshSpecial is what means something in a specification of _arguments.
var zshSpecial = regexp.MustCompile(`[\\\[\]:]`)

// inPowerShell is a text between PowerShell's single quotes, of which it knows curved ones
// too. Windows PowerShell takes what a program prints for the console's code page: only
// ASCII stays what it is.
func inPowerShell(s string) string {
	s = strings.NewReplacer("'", "''", "…", "...").Replace(s)
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, s)
}

// A completed is a program, or a command of one, as shells see it.
type completed struct {
	Name, About string
	Flags       []completedFlag
	Commands    []completed // of a program
	Args        []string    // what may follow it
}

// A completedFlag is a flag as shells see it.
type completedFlag struct {
	Name, About string
	Value       string // what stands for its value; "": it takes none
	IsFile      bool   // its value is a file
	IsDir       bool   // or a directory
	Choices     []string
}

func (c completed) flagNames() (out []string) {
	for _, f := range c.Flags {
		out = append(out, "--"+f.Name)
	}
	return out
}

func completedOf(app *cli.App) completed {
	g := guideOf(app)
	out := completed{Name: app.Name, About: app.Usage, Flags: completedFlags(g, "", withBuiltin(app.Flags))}
	for _, c := range app.Commands {
		in := completed{Name: c.Name, About: short(c.Usage), Flags: completedFlags(g, c.Name, append(slices.Clone(c.Flags), cli.HelpFlag))}
		if strings.Contains(c.ArgsUsage, "|") && strings.ToLower(c.ArgsUsage) == c.ArgsUsage {
			in.Args = strings.Split(c.ArgsUsage, "|")
		}
		out.Commands = append(out.Commands, in)
	}
	return out
}

func completedFlags(g Guide, command string, flags []cli.Flag) (out []completedFlag) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		// The built-in ones are among a running program's own: PowerShell refuses the whole
		// script for a key that stands twice.
		if !ok || slices.ContainsFunc(out, func(c completedFlag) bool { return c.Name == f.Names()[0] }) {
			continue
		}
		value := placeholderOf(d)
		_, usage := flagWords(d)
		c := completedFlag{Name: f.Names()[0], About: short(usage), Value: value, IsFile: value == "FILE" || value == "OLD", IsDir: value == "DIR"}
		if g.Choices != nil {
			c.Choices = g.Choices(command, c.Name)
		}
		out = append(out, c)
	}
	return out
}

// short is the beginning of a usage, which has room beside a completion.
func short(usage string) string {
	for _, end := range []string{" (", ": ", "; ", ". "} {
		if at := strings.Index(usage, end); at > 20 {
			usage = usage[:at]
		}
	}
	usage = strings.Join(strings.Fields(strings.ReplaceAll(usage, "`", "")), " ")
	return Cut(usage, 70)
}
