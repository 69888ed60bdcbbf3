package cli

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A file with a key has one entry in its access list, this user's, and inherits none.
func TestAFileWithAKeyIsItsOwnersAlone(t *testing.T) {
	dir, err := os.MkdirTemp("", "dialtone") // wine cannot remove t.TempDir's
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "invitation")
	t.Cleanup(func() { _ = os.Remove(file); _ = os.Remove(dir) })
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one that was there, then its own
		if err := WritePrivate(file, []byte("the key")); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != "the key" {
			t.Fatalf("%q, %v", b, err)
		}
		sd, err := windows.GetNamedSecurityInfo(file, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.OWNER_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(sd)
		acl, _, err := sd.DACL()
		if err != nil {
			t.Fatal(err)
		}
		user, err := windows.GetCurrentProcessToken().GetTokenUser()
		if err != nil {
			t.Fatal(err)
		}
		mine := 0
		for i := range uint32(acl.AceCount) {
			var ace *windows.ACCESS_ALLOWED_ACE
			if err := windows.GetAce(acl, i, &ace); err != nil {
				t.Fatal(err)
			}
			sid := aceSID(ace)
			// wine adds the system, which has every file anyway.
			if sid.Equals(user.User.Sid) {
				mine++
			} else if !sid.IsWellKnown(windows.WinLocalSystemSid) {
				t.Errorf("%s has %x", sid, ace.Mask)
			}
		}
		if mine != 1 {
			t.Errorf("%d entries are this user's: %s", mine, sd)
		}
	}
}

func aceSID(a *windows.ACCESS_ALLOWED_ACE) *windows.SID {
	return (*windows.SID)(unsafe.Pointer(&a.SidStart))
}
