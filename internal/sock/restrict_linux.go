package sock

import (
	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// GiveUpFiles keeps this process for good from opening any file to write, from making,
// removing, renaming or truncating any, and from running programs (Landlock, Linux 5.13;
// truncating, Linux 6.2). What is open already stays as it is, and reading does. Where the
// system has no such thing, it does nothing.
func GiveUpFiles() error {
	return landlock.Config{HandledAccessFS: ll.AccessFSExecute | ll.AccessFSWriteFile | ll.AccessFSTruncate |
		ll.AccessFSRemoveDir | ll.AccessFSRemoveFile | ll.AccessFSMakeChar | ll.AccessFSMakeDir | ll.AccessFSMakeReg |
		ll.AccessFSMakeSock | ll.AccessFSMakeFifo | ll.AccessFSMakeBlock | ll.AccessFSMakeSym}.BestEffort().RestrictPaths()
}
