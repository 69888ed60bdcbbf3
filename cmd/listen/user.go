package main

import (
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"dialtone/internal/cli"
	"dialtone/internal/listener"
	"dialtone/internal/sock"
)

// readUser finds the user of --user; nil if none is given.
func readUser(c *ucli.Context) (*sock.User, error) {
	name := c.String("user")
	switch {
	case !c.IsSet("user"):
		return nil, nil
	case !sock.CanBecome:
		return nil, cli.Usagef("Leave --user out, and start listen as a user who has no more rights than it needs.", "--user %q: %w", name, sock.ErrCannotBecome)
	}
	u, err := sock.LookupUser(name)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("--user: %w", err), "Give an ordinary user, such as nobody, or one made for it: useradd --system --shell /usr/sbin/nologin dialtone.")
	}
	if os.Geteuid() != 0 {
		return nil, cli.Usagef("Start it as root, which is what binding the ports wants, or leave --user out: it has no rights to give up.",
			"--user %s: listen does not run as root", u.Name)
	}
	return &u, nil
}

// become goes on as the user of --user, if one is given: everything that root was
// wanted for is bound and open by now. The ready file is written later, so that
// user must be able to.
func (s *serving) become(l *listener.Listener, ready string) error {
	if s.user == nil {
		return nil
	}
	if err := l.Become(*s.user); err != nil {
		return cli.Usage(fmt.Errorf("--user: %w", err), "In a container or a systemd unit, give it CAP_SETUID, CAP_SETGID and CAP_CHOWN, or start it as that user from the beginning.")
	}
	if ready != "" {
		if err := cli.CheckFile(ready); err != nil {
			return cli.Usage(fmt.Errorf("--ready-file: %w, as user %s", err, s.user.Name),
				fmt.Sprintf("It is written anew once all is bound: give a file in a directory that %s may write to, such as one of its own in /run.", s.user.Name))
		}
	}
	fmt.Fprintf(s.words, "It goes on as user %s: no longer root, it cannot see which program has a port.\n", s.user.Name)
	return nil
}
