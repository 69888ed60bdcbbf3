package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func statOf(t *testing.T, name string) (fs.FileMode, *syscall.Stat_t) {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode(), info.Sys().(*syscall.Stat_t)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestWriteFileKeepsWhatAFileIs has files of every kind that a rename would make
// something else of.
func TestWriteFileKeepsWhatAFileIs(t *testing.T) {
	root := os.Geteuid() == 0
	for _, tt := range []struct {
		name string
		root bool
		make func(t *testing.T, file string)
		kept func(t *testing.T, file string) bool
	}{
		{"mode", false,
			func(t *testing.T, file string) { must(t, os.Chmod(file, 0o664)) },
			func(t *testing.T, file string) bool { mode, _ := statOf(t, file); return mode == 0o664 }},
		{"owner, group and mode", true,
			func(t *testing.T, file string) { must(t, os.Chown(file, 1234, 50), os.Chmod(file, 0o640)) },
			func(t *testing.T, file string) bool {
				mode, st := statOf(t, file)
				return mode == 0o640 && st.Uid == 1234 && st.Gid == 50
			}},
		{"two names", false,
			func(t *testing.T, file string) { must(t, os.Link(file, file+".other")) },
			func(t *testing.T, file string) bool {
				b, _ := os.ReadFile(file + ".other")
				return string(b) == "new"
			}},
		{"an attribute", false,
			func(t *testing.T, file string) {
				if err := unix.Setxattr(file, "user.dialtone", []byte("x"), 0); err != nil {
					t.Skip("no attributes on this file system:", err)
				}
			},
			func(t *testing.T, file string) bool {
				_, err := unix.Getxattr(file, "user.dialtone", make([]byte, 9))
				return err == nil
			}},
		{"a mount of its own", true,
			func(t *testing.T, file string) {
				must(t, os.WriteFile(file+".behind", nil, 0o600))
				if err := unix.Mount(file+".behind", file, "", unix.MS_BIND, ""); err != nil {
					t.Skip("no mount here:", err)
				}
				t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
			},
			func(t *testing.T, file string) bool {
				b, _ := os.ReadFile(file + ".behind")
				return string(b) == "new"
			}},
		{"a directory that cannot be written", false,
			func(t *testing.T, file string) {
				if root {
					t.Skip("root writes into any")
				}
				must(t, os.Chmod(filepath.Dir(file), 0o500))
				t.Cleanup(func() { _ = os.Chmod(filepath.Dir(file), 0o700) })
			},
			func(*testing.T, string) bool { return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && !root {
				t.Skip("needs root")
			}
			file := filepath.Join(t.TempDir(), "report.json")
			must(t, os.WriteFile(file, []byte("an old one, which is longer"), 0o600))
			tt.make(t, file)
			must(t, CheckFile(file), WriteFile(file, []byte("new")))
			if b, err := os.ReadFile(file); err != nil || string(b) != "new" || !tt.kept(t, file) {
				t.Errorf("got %q, %v; not kept", b, err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), temporary)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWriteFileFollowsLinks(t *testing.T) {
	dir, shm := t.TempDir(), t.TempDir()
	if other, err := os.MkdirTemp("/dev/shm", "dialtone-"); err == nil { // another file system
		t.Cleanup(func() { os.RemoveAll(other) })
		shm = other
	}
	must(t, os.WriteFile(filepath.Join(shm, "there"), nil, 0o644), os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	for _, l := range [][2]string{{"a", filepath.Join(shm, "there")}, {"b", filepath.Join(shm, "not-yet")}, {"c", "b"}, {"sub/d", "../e"}} {
		link, to := l[0], l[1]
		name := filepath.Join(dir, link)
		must(t, os.Symlink(to, name), CheckFile(name), WriteFile(name, []byte(link)))
		if mode, _ := statOf(t, name); mode&fs.ModeSymlink == 0 {
			t.Errorf("%s is no link any more", link)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != link {
			t.Errorf("%s: %q, %v", link, b, err)
		}
	}
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if WriteFile(filepath.Join(dir, "loop"), nil) == nil {
		t.Error("a link to itself was written")
	}
	if !IsSameFile(filepath.Join(dir, "b"), filepath.Join(dir, "c")) || IsSameFile(filepath.Join(dir, "a"), filepath.Join(dir, "b")) {
		t.Error("which names are one file is not known")
	}
}

func TestWriteFileWritesPipesAndDevices(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(t, unix.Mkfifo(pipe, 0o600), CheckFile(pipe))
	got := make(chan string)
	go func() {
		time.Sleep(3 * readerPause) // it comes late
		b, _ := os.ReadFile(pipe)
		got <- string(b)
	}()
	must(t, WriteFile(pipe, []byte("through the pipe")))
	if s := <-got; s != "through the pipe" {
		t.Errorf("its reader got %q", s)
	}
	go func() {
		time.Sleep(3 * readerPause)
		b, _ := os.ReadFile(pipe)
		got <- string(b)
	}()
	f, err := OpenFile(pipe, os.O_APPEND|os.O_WRONLY)
	must(t, err)
	_, err = f.WriteString("bit by bit")
	must(t, err, f.Close())
	if s := <-got; s != "bit by bit" {
		t.Errorf("its reader got %q", s)
	}
	must(t, RemoveFile(pipe))
	if mode, _ := statOf(t, pipe); mode&fs.ModeNamedPipe == 0 {
		t.Error("the pipe is none any more")
	}
	for link, want := range map[string]error{"null": nil, "full": unix.ENOSPC} {
		name := filepath.Join(dir, link)
		must(t, os.Symlink("/dev/"+link, name), CheckFile(name))
		if err := WriteFile(name, []byte("x")); !errors.Is(err, want) {
			t.Errorf("/dev/%s: %v", link, err)
		}
		must(t, RemoveFile(name))
		if mode, _ := statOf(t, "/dev/"+link); mode&fs.ModeCharDevice == 0 {
			t.Errorf("/dev/%s is none any more", link)
		}
	}
}

// TestWriteFileWritesOpenFilesOfThisProgram goes on where the shell is in a file.
func TestWriteFileWritesOpenFilesOfThisProgram(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "redirected"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("before ")
	must(t, err)
	link := filepath.Join(t.TempDir(), "out.json")
	must(t, os.Symlink(fmt.Sprintf("/dev/fd/%d", f.Fd()), link), CheckFile(link), WriteFile(link, []byte("and after")))
	if b, err := os.ReadFile(f.Name()); err != nil || string(b) != "before and after" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestWritePrivateLeavesNobodyElseARight(t *testing.T) {
	file := filepath.Join(t.TempDir(), "invitation")
	must(t, os.WriteFile(file, nil, 0o644), os.Chmod(file, 0o644), WritePrivate(file, []byte("the key")))
	if mode, _ := statOf(t, file); mode != 0o600 {
		t.Errorf("mode %v", mode)
	}
}

func TestANewFileIsTheUsersWhoCalledSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Setenv("SUDO_UID", "1234")
	t.Setenv("SUDO_GID", "4321")
	dir := t.TempDir()
	mine := filepath.Join(dir, "new")
	must(t, WriteFile(mine, nil))
	if mode, st := statOf(t, mine); st.Uid != 1234 || st.Gid != 4321 || mode != 0o600 {
		t.Errorf("%d:%d %v", st.Uid, st.Gid, mode)
	}
	grows, link := filepath.Join(dir, "grows"), filepath.Join(dir, "link")
	must(t, os.Symlink(grows, link))
	for range 2 {
		f, err := OpenFile(link, os.O_APPEND|os.O_WRONLY)
		must(t, err)
		_, err = f.WriteString("x")
		must(t, err, f.Close())
	}
	if mode, st := statOf(t, grows); st.Uid != 1234 || st.Gid != 4321 || mode != 0o600 || st.Size != 2 {
		t.Errorf("%d:%d %v, %d bytes", st.Uid, st.Gid, mode, st.Size)
	}
	roots := filepath.Join(dir, "old")
	must(t, os.WriteFile(roots, nil, 0o600), WriteFile(roots, []byte("x")))
	f, err := OpenFile(roots, os.O_RDWR)
	must(t, err, f.Close())
	if _, st := statOf(t, roots); st.Uid != 0 {
		t.Errorf("an old file of root's went to %d", st.Uid)
	}
}
