package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of so many columns and lines: ours is the end
// of who looks at it, theirs the program's.
func terminal(t *testing.T, columns, lines uint16) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// A screen is what somebody sees on a terminal that writes down all that scrolls
// away. It knows what the programs use: line feed, carriage return, cursor up,
// clearing from the cursor, colours.
type screen struct {
	columns int
	lines   [][]rune
	x, y    int
	escape  []byte
	wrapped []string // lines that did not fit
	frames  []string
}

func (s *screen) Write(b []byte) (int, error) {
	for _, r := range string(b) {
		s.put(r)
	}
	s.frames = append(s.frames, s.String())
	return len(b), nil
}

func (s *screen) put(r rune) {
	switch {
	case s.escape != nil:
		if s.escape = append(s.escape, byte(r)); r >= '@' && r != '[' {
			s.act(string(s.escape))
			s.escape = nil
		}
	case r == '\x1b':
		s.escape = []byte{}
	case r == '\r':
		s.x = 0
	case r == '\n':
		s.y++
	default:
		for len(s.lines) <= s.y {
			s.lines = append(s.lines, nil)
		}
		if s.x == s.columns {
			s.wrapped = append(s.wrapped, string(s.lines[s.y]))
			s.x, s.y = 0, s.y+1
			s.lines = append(s.lines[:s.y], append([][]rune{nil}, s.lines[s.y:]...)...)
		}
		for len(s.lines[s.y]) <= s.x {
			s.lines[s.y] = append(s.lines[s.y], ' ')
		}
		s.lines[s.y][s.x] = r
		s.x++
	}
}

func (s *screen) act(escape string) {
	switch end := escape[len(escape)-1]; end {
	case 'A':
		n, _ := strconv.Atoi(strings.Trim(escape, "[A"))
		s.y = max(0, s.y-max(1, n))
	case 'J', 'K':
		if s.y < len(s.lines) {
			s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
			if end == 'J' {
				s.lines = s.lines[:s.y+1]
			}
		}
	case 'm':
	default:
		s.wrapped = append(s.wrapped, "an escape that not every terminal knows: "+escape)
	}
}

func (s *screen) String() string {
	var out []string
	for _, l := range s.lines {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return strings.Join(out, "\n")
}

// watched runs a program on a terminal and returns what is seen there, and all that
// was written to it.
func watched(t *testing.T, columns, lines uint16, env []string, stop func(*screen) bool, argv ...string) (seen *screen, raw string) {
	t.Helper()
	ours, theirs := terminal(t, columns, lines)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), "DIALTONE_KEY="+soakKey, "TERM=xterm", "NO_COLOR=", "COLUMNS="), env...)
	cmd.Stdout, cmd.Stderr = theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	seen = &screen{columns: int(columns)}
	var all strings.Builder
	b := make([]byte, 64<<10)
	for {
		n, err := ours.Read(b)
		all.Write(b[:n])
		_, _ = seen.Write(b[:n])
		if stop != nil && stop(seen) {
			_ = cmd.Process.Signal(os.Interrupt)
			stop = nil
		}
		if err != nil {
			if !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) { // EIO: the program closed its end
				t.Error(err)
			}
			break
		}
	}
	_ = cmd.Wait()
	return seen, strings.ReplaceAll(all.String(), "\r\n", "\n")
}

// silent accepts connections and says nothing.
func silent(t *testing.T, at netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
}

// While dial runs a terminal shows each path and what it waits for; when it is over
// only the report is left, and the answer stands where the eye is.
func TestATerminalShowsARunWhileItLasts(t *testing.T) {
	at := netip.MustParseAddr("127.78.2.81")
	silent(t, netip.AddrPortFrom(at, 1433+troubleShift))
	listening(t, at, `exec "$@"`)
	next := netip.MustParseAddr("127.78.2.82")
	dial := func() []string {
		from := next
		next = next.Next()
		return []string{filepath.Join(programs, "dial"), "--bind", from.String(), "--port-shift", strconv.Itoa(troubleShift), "--timeout", "3s", "--only", "sql-client,platform,odyssey-client", at.String()}
	}
	const answer = "1 of 3 required paths does not work: sql-client (stalled)."
	for _, size := range []struct{ columns, lines uint16 }{{80, 24}, {120, 40}, {50, 10}} {
		argv := dial()
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			seen, raw := watched(t, size.columns, size.lines, nil, nil, argv...)
			if len(seen.wrapped) > 0 {
				t.Errorf("too wide: %q", seen.wrapped)
			}
			isLive := func(frame string) bool {
				for line := range strings.SplitSeq(frame, "\n") {
					if strings.Contains(line, "sql-client") && strings.Contains(line, "trying, at most") {
						return strings.Contains(frame, "platform") && strings.Contains(frame, "proved") && strings.Contains(frame, "the run ends by")
					}
				}
				return false
			}
			if !slices.ContainsFunc(seen.frames, isLive) {
				t.Errorf("no frame shows what is waited for:\n%s", raw)
			}
			end := strings.Split(strings.TrimRight(seen.String(), "\n"), "\n")
			text := strings.Join(strings.Fields(strings.Join(end, " ")), " ")
			if !strings.HasPrefix(text, answer) || !strings.HasSuffix(text, answer) {
				t.Errorf("at the end it does not begin and end with the answer:\n%s", seen)
			}
			if strings.Contains(text, "trying, at most") || strings.Contains(text, "the run ends by itself") {
				t.Errorf("what was shown meanwhile is still there:\n%s", seen)
			}
		})
	}
	dumb, noColour, real := dial(), dial(), dial()
	t.Run("installed", func(t *testing.T) {
		t.Parallel()
		seen, raw := watched(t, 80, 24, nil, nil, append(real, "--installed")...)
		isLive := func(frame string) bool {
			return strings.Contains(frame, "platform") && strings.Contains(frame, "answers in its own language") && strings.Contains(frame, "trying every path")
		}
		if !slices.ContainsFunc(seen.frames, isLive) || strings.Contains(seen.String(), "trying every path") {
			t.Errorf("it is not shown, or stays:\n%s", raw)
		}
	})
	t.Run("dumb", func(t *testing.T) {
		t.Parallel()
		seen, raw := watched(t, 80, 24, []string{"TERM=dumb"}, nil, dumb...)
		if strings.Contains(raw, "\x1b") || strings.Contains(strings.ReplaceAll(raw, "\n", ""), "\r") {
			t.Errorf("an escape, or a line that is written over: %q", raw)
		}
		if !strings.Contains(seen.String(), "tcp platform proved\n") || !strings.Contains(seen.String(), "sql-client connected, and not proved\n") {
			t.Errorf("no line for each path:\n%s", seen)
		}
	})
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		_, out := dialing(t, netip.MustParseAddr("127.78.2.89"), at, "--timeout", "1s")
		if !strings.HasPrefix(out, "The one required path") || strings.Contains(out, "\x1b") || strings.Contains(out, "not proved") {
			t.Errorf("a pipe gets more than the report:\n%s", out)
		}
	})
	t.Run("no colour", func(t *testing.T) {
		t.Parallel()
		_, raw := watched(t, 80, 24, []string{"NO_COLOR=1"}, nil, noColour...)
		if strings.Contains(raw, "m"+answer[:4]) || strings.Contains(raw, "\x1b[0m") {
			t.Error("colours although NO_COLOR is set")
		}
	})
}

// On a terminal listen shows who has to reach which port and who has, below what it
// tells of each; at the end that is gone, and the summary stands.
func TestATerminalShowsWhoListenWaitsFor(t *testing.T) {
	const at = "127.78.2.95"
	argv := []string{filepath.Join(programs, "listen"), "--bind", at, "--port-shift", strconv.Itoa(troubleShift), "--for", "2m"}
	for _, size := range []struct{ columns, lines uint16 }{{80, 40}, {120, 50}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const first, then = "still waiting for: staff PC, partner's server, patron's PC", "still waiting for: partner's server, patron's PC"
			dialed := false
			var shown, after string
			seen, raw := watched(t, size.columns, size.lines, nil, func(s *screen) bool {
				now := s.String()
				switch {
				case !dialed && strings.Contains(now, first):
					shown, dialed = now, true
					go dialing(t, netip.MustParseAddr("127.78.2.96"), netip.MustParseAddr(at))
				case dialed && strings.Contains(now, then) && strings.Contains(now, "report "):
					after = now
					return true
				}
				return false
			}, argv...)
			if !strings.Contains(shown, "\n  11533/tcp  staff PC, (PC for reports)  nobody yet\n") {
				t.Errorf("before anybody came:\n%s\n%q", shown, raw)
			}
			if !strings.Contains(after, "\n  11533/tcp  staff PC, (PC for reports)  127.78.2.96\n") || !strings.Contains(strings.Join(strings.Fields(after), " "), "dial with the key") {
				t.Errorf("once somebody came:\n%s", after)
			}
			end := seen.String()
			if strings.Contains(end, "still waiting for") || !strings.Contains(end, "Who reached what:") {
				t.Errorf("at the end:\n%s", end)
			}
			for _, line := range seen.wrapped {
				if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "listen: the key") { // a command, a line of the summary, or said before there is a board
					t.Errorf("broken by the terminal: %q", line)
				}
			}
		})
	}
	t.Run("dumb", func(t *testing.T) {
		_, raw := watched(t, 80, 40, []string{"TERM=dumb"}, func(s *screen) bool { return strings.Contains(s.String(), "Stop it with Ctrl-C") }, argv...)
		if strings.Contains(raw, "\x1b") || strings.Contains(raw, "still waiting") || !strings.Contains(raw, "Nobody reached any port.") {
			t.Errorf("not as lines: %q", raw)
		}
	})
}
