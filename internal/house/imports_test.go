package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the prefix of our own import paths.
const module = "dialtone/"

// A floor is what one package may import of this module, and why no more.
type floor struct {
	may []string
	why string
}

// floors lists every package from the ground up. A package imports only from
// floors below its own, and of those only what its floor names.
var floors = []struct {
	name string
	floor
}{
	{"internal/clean", floor{nil, "text from elsewhere is made safe the same way at every exit, so that nothing is below it"}},
	{"internal/paste", floor{nil, "what people type and paste is the same whatever it is for"}},
	{"internal/plan", floor{[]string{"paste"}, "what must be reachable is data: it knows nothing of how that is found out"}},
	{"internal/logon", floor{[]string{"paste"}, "it reads what another program keeps on this machine, and knows nothing of who asks"}},
	{"internal/result", floor{[]string{"clean", "plan"}, "what was found is data: whoever fills it in or renders it comes later"}},
	{"internal/running", floor{[]string{"clean"}, "that another listen runs is known before anything of this one is read"}},
	{"internal/sock", floor{[]string{"clean", "plan", "result"}, "it tells what the system knows of a socket, to any protocol"}},
	{"internal/service", floor{[]string{"clean", "plan", "result", "sock"}, "a service's conversation is the same with and without our proof around it"}},
	{"internal/echo", floor{[]string{"clean", "paste", "plan", "result", "sock"}, "the wire format must be usable without the programs around it (docs/wire.md)"}},
	{"internal/prooftest", floor{[]string{"plan", "result", "sock", "echo"}, "what many tests do alike must not know what any of them tests"}},
	{"internal/dialer", floor{[]string{"plan", "result", "sock", "echo", "service"}, "an attempt is the same at both ends, so it knows neither listener nor survey"}},
	{"internal/witness", floor{[]string{"plan", "result"}, "what an end saw follows from what it remembers: who looks, and at what, comes later"}},
	{"internal/contact", floor{[]string{"result", "sock", "echo"}, "whom a run may ask follows from which ways proved themselves, whatever the run attempts"}},
	{"internal/listener", floor{[]string{"clean", "plan", "result", "sock", "witness", "echo", "service", "dialer"}, "accepting is the same at both ends; it dials back, and it never judges"}},
	{"internal/verdict", floor{[]string{"plan", "result"}, "verdicts are pure functions of evidence: what cannot reach the network cannot depend on it"}},
	{"internal/dialect", floor{[]string{"plan"}, "how a product wants its rules has nothing to do with why one is needed"}},
	{"internal/request", floor{[]string{"plan", "result", "dialect"}, "what to ask for follows from reports alone; who renders it comes later"}},
	{"internal/merge", floor{[]string{"plan", "result", "request", "verdict"}, "it joins what is written already and has it judged: files and sockets are not its business; what of it is asked of a firewall's people, request decides for every form"}},
	{"internal/compare", floor{[]string{"plan", "result"}, "it lays what two reports say side by side: what is in them was judged when they were written"}},
	{"internal/move", floor{[]string{"plan", "result"}, "what a move changes follows from reports alone: whether the new address works is for a test"}},
	{"internal/survey", floor{[]string{"plan", "result", "sock", "echo", "contact", "dialer", "listener", "verdict"}, "a run prints nothing and knows no flags, and of several runs only what it shares with them"}},
	{"internal/meeting", floor{[]string{"plan", "result", "sock", "echo", "dialer", "listener", "verdict", "merge", "survey"}, "who makes the run is settled around it; what the other end hands over is not believed (merge.Sound), and a run by itself joins nothing"}},
	{"internal/visit", floor{[]string{"plan", "result", "sock", "service", "dialer", "verdict", "echo"}, "real software is asked as anybody asks it, and nothing of the key gets near it"}},
	{"internal/address", floor{[]string{"paste", "plan", "result", "sock", "echo", "dialer", "listener"}, "it asks others as what they see this machine, and concludes from their answers alone; of the dialer it knows how long dialing back takes"}},
	{"internal/report", floor{[]string{"clean", "plan", "result", "dialect", "request", "move"}, "a report only renders: whatever it wants to know must be in the data, or the JSON form lacks it"}},
	{"internal/page", floor{[]string{"clean", "plan", "result", "service", "verdict", "merge", "report"}, "what a browser shows is judged and told as what dial shows; whose witness is asked, it is handed"}},
	{"internal/invite", floor{[]string{"paste", "plan", "echo"}, "an invitation is text: whoever dials or listens by it comes later"}},
	{"internal/consortium", floor{[]string{"plan", "result", "sock", "echo", "listener", "verdict", "merge", "survey"}, "it has each partner tested and lays the reports side by side; who reads a list's flags comes later"}},
	{"internal/watch", floor{[]string{"clean", "result"}, "it repeats and remembers: what is tested, compared and shown is handed to it"}},
	{"internal/cli", floor{[]string{"clean", "paste", "plan", "result", "echo", "invite"}, "both programs share it, so it holds flags and exit codes and no work"}},
	{"internal/selfcheck", floor{[]string{"plan", "result", "sock", "cli"}, "it tries what a system does, by what both programs use of it, and knows no other end"}},
	{"internal/lab", floor{[]string{"plan", "result"}, "the lab runs the built programs from outside and reads their reports, as a user does"}},
	{"internal/lab/truthtable", floor{[]string{"plan", "result", "lab"}, "it plays what the lab's tests play and judges it as they do"}},
	{"internal/lab/random/oracle", floor{nil, "what judges the programs must share no code with them"}},
	{"internal/lab/random/router", floor{nil, "it is a piece of network, and knows nothing of who uses it"}},
	{"internal/lab/random", floor{[]string{"lab", "lab/random/oracle", "lab/random/router"}, "it reads reports by their documented form, so that it and the programs cannot be wrong alike"}},
	{"internal/release", floor{[]string{"cli"}, "it packs the built programs, and shares nothing with them but their version"}},
	{"internal/house", floor{nil, "it reads the sources and imports none of them"}},
	{"internal/e2e", floor{nil, "it runs the built programs from outside, as a user does"}},
	{"cmd/listen", floor{[]string{"clean", "paste", "plan", "result", "running", "sock", "echo", "listener", "dialect", "request", "report", "page", "invite", "cli", "selfcheck"}, "listen answers; it surveys and judges nothing"}},
	{"cmd/dial", floor{[]string{"clean", "paste", "logon", "plan", "result", "echo", "survey", "meeting", "visit", "address", "merge", "compare", "move", "verdict", "dialect", "request", "report", "invite", "consortium", "watch", "cli", "selfcheck"}, "dial wires a survey to a report; sockets are the survey's business"}},
}

func TestImportsRunDownwardOnly(t *testing.T) {
	at := map[string]int{}
	for i, f := range floors {
		at[f.name] = i
		for _, m := range f.may {
			if below, ok := at["internal/"+m]; !ok || below >= i {
				t.Errorf("floors: %s may import %s, which is not below it", f.name, m)
			}
		}
	}
	for dir, files := range goFiles(t) {
		i, ok := at[dir]
		if !ok {
			t.Errorf("%s is on no floor: add it to floors, with what it may import and why", dir)
			continue
		}
		for _, file := range files {
			for _, imported := range imports(t, file) {
				name, ours := strings.CutPrefix(imported, module)
				if !ours {
					continue
				}
				if !slices.Contains(floors[i].may, strings.TrimPrefix(name, "internal/")) {
					t.Errorf("%s imports %s: %s", file, imported, floors[i].why)
				}
			}
		}
	}
}

// What stands in for an end in tests has no place in a program.
func TestOnlyTestsImportWhatIsMadeForThem(t *testing.T) {
	for _, files := range goFiles(t) {
		for _, file := range files {
			if slices.Contains(imports(t, file), module+"internal/prooftest") {
				t.Errorf("%s imports internal/prooftest, which is for tests", file)
			}
		}
	}
}

// pure packages must not be able to reach the network, the clock of a timer,
// or the file system behind a caller's back.
func TestWhatJudgesAndReportsCannotReachOut(t *testing.T) {
	for _, dir := range []string{"internal/verdict", "internal/witness", "internal/merge", "internal/compare", "internal/result", "internal/dialect", "internal/request", "internal/report"} {
		for _, file := range goFiles(t)[dir] {
			for _, imported := range imports(t, file) {
				switch imported {
				case "net", "net/http", "os", "os/exec", "syscall", "math/rand", "math/rand/v2", "crypto/rand":
					t.Errorf("%s imports %s: what it says must follow from its arguments alone", file, imported)
				}
			}
		}
	}
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range f.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// root is the module's directory as seen from this one.
const root = "../.."

// goFiles lists the Go files of every package of the module, without tests, by
// directory; for every system, not only this one.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			out[path.Dir(rel)] = append(out[path.Dir(rel)], rel)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 10 {
		t.Fatalf("found only %d packages: is this the module's directory?", len(out))
	}
	return out
}
