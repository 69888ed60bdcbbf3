package logon

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows/registry"
)

// settings is the registry's key, and value its value, under which the client's
// settings have the connection file's path.
const (
	settings = `Software\AtlasSystems\ILLiad`
	value    = "LogonSettingsPath"
)

// Find returns the database connection of this PC's ILLiad client; false if there
// is none, or the client is not installed.
func Find() (Connection, bool) {
	s := system{legacy: `C:\ILLiad\Logon.dbc`, files: filesOf, read: readFile, exists: exists}
	for _, v := range []string{"ProgramFiles(x86)", "ProgramFiles"} {
		if dir := os.Getenv(v); dir != "" {
			s.folders = append(s.folders, filepath.Join(dir, "ILLiad"))
		}
	}
	// The client is a 32-bit program: the machine's settings are in that view.
	s.settings = []func() (string, string){
		func() (string, string) { return "this user's settings", setting(registry.CURRENT_USER, 0) },
		func() (string, string) {
			return "this PC's settings", setting(registry.LOCAL_MACHINE, registry.WOW64_32KEY)
		},
		func() (string, string) {
			return "this PC's settings", setting(registry.LOCAL_MACHINE, registry.WOW64_64KEY)
		},
	}
	return s.find()
}

// setting reads the path from the registry; "" if it is not there, or not for this
// user.
func setting(root registry.Key, view uint32) string {
	k, err := registry.OpenKey(root, settings, registry.QUERY_VALUE|view)
	if err != nil {
		return ""
	}
	defer k.Close()
	file, kind, err := k.GetStringValue(value)
	if err != nil {
		return ""
	}
	if kind == registry.EXPAND_SZ {
		if long, err := registry.ExpandString(file); err == nil {
			file = long
		}
	}
	return file
}

func filesOf(folder string) []string {
	all, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range all {
		if !e.IsDir() {
			out = append(out, filepath.Join(folder, e.Name()))
		}
	}
	return out
}

func exists(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir()
}

func readFile(file string, most int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}
