package main

import (
	"errors"
	"strings"
	"testing"

	"dialtone/internal/logon"
)

func TestTheHostOfThisPCsClientIsSaid(t *testing.T) {
	at := func(err error, servers ...string) logon.Connection {
		return logon.Connection{File: `C:\ILLiad\Logon.dbc`, Place: "the folder of old installations", Servers: servers, Err: err}
	}
	for _, c := range []struct {
		conn logon.Connection
		says string
	}{
		{at(nil, "sql2.lib.example"), "which names sql2.lib.example: if that is another machine than illiad.example, dial it, too"},
		{at(nil, "ILLIAD.example."), ""},
		{at(nil), "SQL Alias Manager shows it"},
		{at(errors.New("access denied")), "cannot be read (access denied)"},
	} {
		got := logonWords(c.conn, "illiad.example")
		if !strings.Contains(got, c.says) || c.says == "" && got != "" || got != "" && !strings.Contains(got, `C:\ILLiad\Logon.dbc`) {
			t.Errorf("%+v: %q", c.conn, got)
		}
	}
}
