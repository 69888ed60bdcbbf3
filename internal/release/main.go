// Command release makes what others download: for each system an archive with both
// programs, the licences of all that is in them, the documents, and what they are made
// of. Two runs of one commit make the same bytes. scripts/release runs it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dialtone/internal/cli"
)

// platforms are those that a release has archives for.
var platforms = []platform{
	{"windows", "amd64"}, {"windows", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"},
}

// A platform is a system and a processor, as Go names them.
type platform struct{ goos, goarch string }

func (p platform) String() string { return p.goos + "/" + p.goarch }

// options are the command line.
type options struct {
	root      string // the checkout
	scratch   string // a directory to build in, removed at the end
	out       string
	only      []platform
	packages  bool // deb and rpm, too
	msi       bool // an installer for Windows, too
	resources bool // version, icon and manifest in the programs of Windows
	// Programs that were given; "": they are built of their source.
	nfpm, winres string
	// What programs of Windows are signed with; signCert "": they are not.
	signCert, signKey, signPassword, signTime string
}

// A release is what one run makes.
type release struct {
	options
	version string
	commit  string    // as the programs tell it
	at      time.Time // of every file in what is made: the commit's
	said    io.Writer
	done    map[platform]built // what was built already
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// errUsage is wrong use, which was told already.
var errUsage = errors.New("wrong use")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	r := &release{options: o, version: cli.Version, said: stderr}
	if err := r.readSource(ctx); err != nil {
		return err
	}
	made, err := r.make(ctx)
	if err != nil {
		return err
	}
	return list(stdout, o.out, made)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("scripts/release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "the checkout")
	flags.StringVar(&o.scratch, "scratch", "", "a directory to build in, which is removed at the end")
	flags.StringVar(&o.out, "out", "dist", "the directory to write to; what it holds of an earlier run is replaced")
	only := flags.String("only", "", "make these alone, as in windows/amd64,linux/arm64")
	flags.BoolVar(&o.packages, "packages", true, "also make deb and rpm for Linux")
	flags.StringVar(&o.nfpm, "nfpm", "", "make packages with this program, in place of one that is built of "+nfpm+"; another version's bytes are others")
	flags.BoolVar(&o.resources, "resources", true, "give the programs of Windows their version and icon, by "+winres)
	flags.StringVar(&o.winres, "winres", "", "do that with this program, in place of one that is built")
	flags.StringVar(&o.signCert, "sign-cert", "", "sign the programs of Windows and the installer with the certificate in this file (PEM), by osslsigncode")
	flags.StringVar(&o.signKey, "sign-key", "", "its private key (PEM), or the address of one in a token (PKCS#11)")
	flags.StringVar(&o.signPassword, "sign-password-file", "", "the file that has the key's password")
	flags.StringVar(&o.signTime, "sign-timestamp", "", "the address of a time-stamp authority (RFC 3161), whose word keeps a signature good after the certificate")
	flags.BoolVar(&o.msi, "msi", false, "also make an installer for windows/amd64, by wixl; its bytes are others each time")
	if err := flags.Parse(args); err != nil {
		return o, errUsage
	}
	o.only = platforms
	if *only != "" {
		o.only = nil
		for _, name := range strings.Split(*only, ",") {
			i := slices.IndexFunc(platforms, func(p platform) bool { return p.String() == name })
			if i < 0 {
				fmt.Fprintf(stderr, "release: --only %s: there are %v\n", name, platforms)
				return o, errUsage
			}
			o.only = append(o.only, platforms[i])
		}
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "release: unexpected argument %q\n", flags.Arg(0))
		return o, errUsage
	}
	if (o.signCert == "") != (o.signKey == "") || o.signCert == "" && o.signPassword+o.signTime != "" {
		fmt.Fprintln(stderr, "release: --sign-cert and --sign-key go together, and the others with them")
		return o, errUsage
	}
	if o.scratch == "" {
		dir, err := os.MkdirTemp("", "dialtone-release-")
		if err != nil {
			return o, err
		}
		o.scratch = dir
	}
	return o, nil
}

// readSource finds out what is built. A copy without its history takes the time from
// SOURCE_DATE_EPOCH, and the programs do not know their commit.
func (r *release) readSource(ctx context.Context) error {
	text, err := r.git(ctx, "show", "--no-patch", "--format=%H %ct", "HEAD")
	id, at, ok := strings.Cut(text, " ")
	seconds, errAt := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || errAt != nil {
		if seconds, err = strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err != nil {
			return errors.New("this is no git checkout: set SOURCE_DATE_EPOCH to the time of the source, in seconds since 1970")
		}
		r.at = time.Unix(seconds, 0).UTC()
		return nil
	}
	r.at = time.Unix(seconds, 0).UTC()
	r.commit = id[:12] + " of " + r.at.Format(time.RFC3339)
	if changes, err := r.git(ctx, "status", "--porcelain"); err != nil || changes != "" {
		r.commit += ", with changes"
		fmt.Fprintln(r.said, "release: the checkout has changes that are not committed: the programs will say so")
	}
	return nil
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	// The checkout may be somebody else's.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", r.root}, args...)...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// make makes everything and returns the names of what it wrote, in the order of their
// names, with the checksums last.
func (r *release) make(ctx context.Context) ([]string, error) {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	if err := r.clear(); err != nil {
		return nil, err
	}
	manuals, completions, err := r.manuals(ctx)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, p := range r.only {
		b, err := r.build(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		b.manuals, b.completions = manuals, completions
		names, err := r.pack(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		made = append(made, names...)
	}
	slices.Sort(made)
	var sums strings.Builder
	for _, name := range made {
		sum, err := sumOf(filepath.Join(r.out, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, name)
	}
	const sumsFile = "SHA256SUMS"
	return append(made, sumsFile), os.WriteFile(filepath.Join(r.out, sumsFile), []byte(sums.String()), 0o644)
}

// clear removes what an earlier run has left, and nothing else.
func (r *release) clear() error {
	old := []string{filepath.Join(r.out, "SHA256SUMS")}
	for _, of := range []string{"dialtone-*", "dialtone_*"} {
		names, err := filepath.Glob(filepath.Join(r.out, of))
		if err != nil {
			return err
		}
		old = append(old, names...)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func sumOf(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(b)), nil
}

// list prints what was made: size in bytes, checksum, name.
func list(w io.Writer, dir string, made []string) error {
	for _, name := range made {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		sum, err := sumOf(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%10d  %s  %s\n", info.Size(), sum, name)
	}
	return nil
}
