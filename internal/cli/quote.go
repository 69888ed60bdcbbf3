package cli

import "strings"

// Quote writes an argument so that sh, PowerShell and cmd.exe all take it for what it is.
// Nobody knows which of them a printed line is pasted into. Where one of them would read
// it otherwise, which reports so, with how that one wants it; "" if none does.
func Quote(arg string) (text string, otherwise string) {
	if arg != "" && arg[0] != ',' && strings.IndexFunc(arg, isSpecial) < 0 {
		return arg, ""
	}
	// In double quotes sh and PowerShell still read $ and `, cmd.exe %, an interactive
	// bash !; and a backslash means something to sh before another, to Windows' programs
	// before the closing quote.
	if !strings.ContainsAny(arg, "\"$`%!") && !strings.Contains(arg, `\\`) && !strings.HasSuffix(arg, `\`) {
		return `"` + arg + `"`, ""
	}
	return `'` + strings.ReplaceAll(arg, `'`, `'\''`) + `'`,
		`in PowerShell '` + strings.ReplaceAll(strings.ReplaceAll(arg, `'`, `''`), `"`, `\"`) + `', in cmd.exe "` + strings.ReplaceAll(arg, `"`, `\"`) + `"`
}

// isSpecial reports whether a character means something to one of the shells, outside
// of quotes. To PowerShell a comma does not, before a program that is none of its own.
func isSpecial(r rune) bool {
	return !(r == '-' || r == '_' || r == '=' || r == '.' || r == '/' || r == ':' || r == ',' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
}
