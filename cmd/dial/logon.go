package main

import (
	"fmt"
	"slices"
	"strings"

	"dialtone/internal/logon"
)

// logonWords say where this PC's ILLiad client keeps its database connection, if
// that does not lead to the host that is dialed, or does not tell; "" otherwise.
func logonWords(conn logon.Connection, host string) string {
	where := fmt.Sprintf("the ILLiad client of this PC has its database connection in %s (%s)", conn.File, conn.Place)
	isHost := func(s string) bool {
		return strings.EqualFold(strings.TrimSuffix(s, "."), strings.TrimSuffix(host, "."))
	}
	switch {
	case conn.Err != nil:
		return fmt.Sprintf("%s, which cannot be read (%v). Dial the server that it names, too.", where, conn.Err)
	case len(conn.Servers) == 0:
		return where + ", from which this program cannot read the server. SQL Alias Manager shows it; dial that one, too."
	case slices.ContainsFunc(conn.Servers, isHost):
		return ""
	}
	return fmt.Sprintf("%s, which names %s: if that is another machine than %s, dial it, too.", where, strings.Join(conn.Servers, " and "), host)
}
