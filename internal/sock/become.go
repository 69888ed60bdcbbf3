package sock

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// A User is whom a program may run as in root's place.
type User struct {
	Name     string
	UID, GID int
	Groups   []int // all that the user is in
}

// ErrCannotBecome says that this system has no way for a program to go on as
// another user.
var ErrCannotBecome = errors.New("this system does not let a program go on as another user")

// LookupUser finds a user by name or number. Root is none to become.
func LookupUser(name string) (User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		if _, nerr := strconv.ParseUint(name, 10, 32); nerr == nil {
			found, err = user.LookupId(name)
		}
	}
	if err != nil {
		return User{}, fmt.Errorf("there is no user %q on this machine", name)
	}
	u := User{Name: found.Username}
	groups, err := found.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("the groups of user %q: %w", name, err)
	}
	if u.UID, err = strconv.Atoi(found.Uid); err != nil {
		return User{}, ErrCannotBecome // Windows has no numbers for users
	}
	if u.GID, err = strconv.Atoi(found.Gid); err != nil {
		return User{}, ErrCannotBecome
	}
	for _, g := range groups {
		n, err := strconv.Atoi(g)
		if err != nil {
			return User{}, ErrCannotBecome
		}
		u.Groups = append(u.Groups, n)
	}
	if u.UID == 0 {
		return User{}, fmt.Errorf("user %q is root", name)
	}
	return u, nil
}
