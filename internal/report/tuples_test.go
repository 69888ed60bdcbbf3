package report

import (
	"slices"
	"testing"

	"dialtone/internal/plan"
	"dialtone/internal/result"
)

func placeLines(r *result.Report) []string {
	var out []string
	for _, l := range places(r) {
		out = append(out, l.heading(r))
		for _, b := range l.bundles {
			number, more := b.portWords()
			out = append(out, b.mark().word+" "+string(b[0].Verdict)+" "+number+" "+more+" "+b.names())
		}
	}
	return out
}

func TestRowsOfOneTupleAreOneLine(t *testing.T) {
	const source, target = "192.0.2.5:51614", "198.51.100.9:443"
	closed := path("closed", "Web pages", 443, source, target)
	closed.Expect, closed.OK = plan.ExpectClosed, false
	ftp := reversed(path("ftp-data", "FTP, data", 51702, "198.51.100.9:20", "192.0.2.5:51702"))
	ftp.PlanPort, ftp.SourcePort = 0, 20
	untested := broken(path("late", "Late", 25, "", ""), result.Untested, "No.", "")
	r := with(base(),
		path("platform", "Web Platform", 443, source, target),
		uncounted(path("web-https", "Web pages", 443, source, target), plan.Conditional),
		path("addons", "Web pages", 443, source, target),
		closed, // another outcome: a line of its own
		path("web-https", "Web pages", 443, "[2001:db8:1::5]:51613", "[2001:db8:2::9]:443"),
		path("other-port", "Web pages", 444, "192.0.2.5:51616", "198.51.100.9:444"),
		untested, ftp, reversed(path("back", "Odyssey", 7968, "198.51.100.9:41000", "192.0.2.5:7968")))
	want := []string{
		"From here (client, 192.0.2.5) to library.example.edu (198.51.100.9)",
		"ok open 443/tcp  Web Platform: platform; Web pages: (web-https), addons",
		"NO open 443/tcp  Web pages: closed",
		"ok open 444/tcp  Web pages: other-port",
		"? untested 25/tcp  Late: late",
		"From here (client, 2001:db8:1::5) to library.example.edu (2001:db8:2::9)",
		"ok open 443/tcp  Web pages: web-https",
		"From library.example.edu (server, web, database, 198.51.100.9) to here",
		"ok open 51702/tcp from 20 FTP, data: ftp-data",
		"ok open 7968/tcp  Odyssey: back",
	}
	if got := placeLines(r); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestManyBrokenPathsAreCounted(t *testing.T) {
	var paths []result.Path
	for _, flow := range []string{"a", "b", "c", "d", "e", "f"} {
		paths = append(paths, broken(path(flow, "S", 1000+len(paths), "192.0.2.5:50001", "198.51.100.9:1"), result.Filtered, "", ""))
	}
	paths[5].Verdict = result.Refused
	r := with(base(), append(paths, path("g", "S", 1, "192.0.2.5:50001", "198.51.100.9:1"))...)
	if got, want := answer(r), "6 of 7 required paths do not work: 5 filtered, 1 refused."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
