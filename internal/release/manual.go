package main

import (
	"fmt"
	"strings"
	"time"
)

// manual makes a manual page of a program's help, and of its commands': its headings are
// sections, its groups subsections, what stands between them stays as it is.
func manual(name, version string, at time.Time, help string, commands ...string) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, ".TH %s 1 %s \"Dialtone %s\"\n", strings.ToUpper(name), at.Format(time.DateOnly), version)
	section(&out, help, "")
	for _, c := range commands {
		title := strings.TrimPrefix(strings.Split(c, "\n")[1], "   ")
		title, _, _ = strings.Cut(title, " - ")
		fmt.Fprintf(&out, ".SH %s\n", roff(strings.ToUpper(title)))
		section(&out, c, title)
	}
	return []byte(out.String())
}

// section writes a help: of a command as parts of its section.
func section(out *strings.Builder, help, command string) {
	in := "" // the section
	open := false
	end := func() {
		if open {
			out.WriteString(".fi\n")
		}
		open = false
	}
	for _, line := range strings.Split(strings.TrimRight(help, "\n"), "\n") {
		if heading, ok := strings.CutSuffix(line, ":"); ok && heading == strings.ToUpper(heading) && heading != "" && line[0] != ' ' {
			end()
			in, open = heading, heading != "NAME"
			switch {
			case command == "":
				fmt.Fprintf(out, ".SH %s\n", heading)
			case in != "NAME":
				fmt.Fprintf(out, ".SS %s\n", heading[:1]+strings.ToLower(heading[1:]))
			}
			if open {
				out.WriteString(".nf\n")
			}
			continue
		}
		switch {
		case in == "NAME" && strings.TrimSpace(line) == "":
		case in == "NAME": // as whatis wants it: name \- what it is for
			out.WriteString(roff(strings.TrimPrefix(strings.TrimSpace(line), command+" - ")) + "\n")
		case strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   "): // a group
			fmt.Fprintf(out, ".fi\n.SS %s\n.nf\n", roff(strings.TrimSpace(line)))
		default:
			out.WriteString(roff(strings.TrimPrefix(line, "   ")) + "\n")
		}
	}
	end()
}

// commandsOf are the names of the commands that a program's help lists.
func commandsOf(help string) (out []string) {
	_, list, _ := strings.Cut(help, "\nCOMMANDS:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.SplitSeq(list, "\n") {
		if name, about, ok := strings.Cut(strings.TrimPrefix(line, "   "), "  "); ok && name != "" && about != "" {
			out = append(out, name)
		}
	}
	return out
}

// roff writes a line of text so that it stays what it is.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}
