package main

import (
	"fmt"
	"strings"
	"time"
)

// manual makes a manual page of a program's help: its headings are sections, what
// stands between them stays as it is.
func manual(name, version string, at time.Time, help string) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, ".TH %s 1 %s \"Dialtone %s\"\n", strings.ToUpper(name), at.Format(time.DateOnly), version)
	in := "" // the section
	open := false
	for _, line := range strings.Split(strings.TrimRight(help, "\n"), "\n") {
		if heading, ok := strings.CutSuffix(line, ":"); ok && heading == strings.ToUpper(heading) && heading != "" && line[0] != ' ' {
			if open {
				out.WriteString(".fi\n")
			}
			in, open = heading, heading != "NAME"
			fmt.Fprintf(&out, ".SH %s\n", heading)
			if open {
				out.WriteString(".nf\n")
			}
			continue
		}
		switch {
		case in == "NAME" && strings.TrimSpace(line) == "":
		case in == "NAME": // as whatis wants it: name \- what it is for
			out.WriteString(roff(strings.TrimSpace(line)) + "\n")
		default:
			out.WriteString(roff(strings.TrimPrefix(line, "   ")) + "\n")
		}
	}
	if open {
		out.WriteString(".fi\n")
	}
	return []byte(out.String())
}

// roff writes a line of text so that it stays what it is.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}
