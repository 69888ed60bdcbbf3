package listener

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"dialtone/internal/echo"
	"dialtone/internal/result"
	"dialtone/internal/service"
)

func TestOneRunIsOneLineForEachPort(t *testing.T) {
	var text, lines bytes.Buffer
	screen, complete := &Journal{Out: &text}, &Journal{Out: &lines, JSON: true}
	write := func(c Event) { screen.Write(c); complete.Write(c) }
	run := func(id byte) {
		for i := range 5 {
			c := contactOf(echo.KindAsked, fmt.Sprintf("192.0.2.7:%d", 50000+i))
			c.Peer.Run, c.Peer.Flow, c.Visit = echo.ID{id}, "sql", service.Visit{Service: "SQL Server"}
			write(c)
			c.Kind = echo.KindProved
			write(c)
		}
		c := contactOf(echo.KindService, "192.0.2.7:50009")
		c.Peer.Flow = "tds"
		write(c)
		s := contactOf(echo.KindSubmitted, "192.0.2.7:50000")
		s.Peer.Run, s.Submission = echo.ID{id}, &echo.Submission{Host: "pc", Summary: result.Summary{Counted: 1}}
		write(s)
	}
	run(1)
	run(2) // the second is seen as well
	want := "12:00:00Z  key         192.0.2.7:50000 → tcp/1433  SQL Server: dial with the key (sql)\n" +
		"12:00:00Z  report      192.0.2.7 (\"pc\"): 1 required paths, 0 not ok; 6 contacts to 1 port\n"
	if got := text.String(); strings.Count(got, "\n") != 4 || !strings.HasPrefix(got, want) || strings.Count(got, "dial with the key") != 2 {
		t.Errorf("the screen:\n%s", got)
	}
	if n := strings.Count(lines.String(), "\n"); n != 2*12 {
		t.Errorf("%d lines of JSON", n)
	}
}

func TestAStrangerThatDoesTheSameAgainIsToldOfOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	j := &Journal{Out: &out}
	c := contactOf(echo.KindForeign, "192.0.2.7:50000")
	c.Visit = service.Visit{Service: "SQL Server", Words: "login came, refused as meant"}
	for i := range 4 {
		c.At = noon.Add(time.Duration(i) * 19 * time.Second) // the last within the minute
		j.Write(c)
	}
	other := c
	other.Visit.Words = "connected and sent nothing"
	j.Write(other)
	c.At = noon.Add(61 * time.Second)
	j.Write(c)
	want := "12:00:00Z  client      192.0.2.7:50000 → tcp/1433  SQL Server: login came, refused as meant\n" +
		"12:00:57Z  client      192.0.2.7:50000 → tcp/1433  SQL Server: connected and sent nothing\n" +
		"12:01:01Z  client      192.0.2.7:50000 → tcp/1433  SQL Server: login came, refused as meant  (and 3 times in between)\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func TestWhatTheScreenRemembersIsBounded(t *testing.T) {
	var s screen
	for i := range 3 * maxShown {
		c := contactOf(echo.KindAsked, "192.0.2.7:50000")
		c.Peer.Run = echo.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		s.show(c, toRecord(c), func(string) {})
	}
	if len(s.shown) > maxShown {
		t.Errorf("%d", len(s.shown))
	}
}
