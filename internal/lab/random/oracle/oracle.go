// Package oracle finds out what a network really does, with plain sockets and
// what passes at an interface, for the random lab to hold a report against.
//
// It imports nothing of this module: what it says must not rest on the code
// that it is to judge. Each of its parts runs as a process of its own inside a
// node, and speaks JSON.
package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Door is a port to knock at, or to hold.
type Door struct {
	Row       string // which row of the lab it is for
	Addr      string
	Port      int
	Transport string // "tcp" or "udp"
}

// Main runs one part of the oracle: args are its name and what it wants. It
// ends when stdin does.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("oracle: say serve, knock or capture")
	}
	switch args[0] {
	case "serve": // serve NAME, doors on the first line of stdin
		doors, rest, err := readDoors(stdin)
		if err != nil {
			return err
		}
		stop, err := Serve(strings.Join(args[1:], " "), doors)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintln(stdout, "ready")
		_, _ = io.Copy(io.Discard, rest)
		return nil
	case "knock":
		doors, _, err := readDoors(stdin)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(Knock(ctx, doors))
	case "pretend": // pretend MODE
		stop, err := Pretend(args[1])
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintln(stdout, "ready")
		_, _ = io.Copy(io.Discard, stdin)
		return nil
	case "stranger": // doors on the first line of stdin
		doors, rest, err := readDoors(stdin)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, d := range doors {
			go Disturb(ctx, d)
		}
		fmt.Fprintln(stdout, "ready")
		_, _ = io.Copy(io.Discard, rest)
		return nil
	case "capture": // capture INTERFACE
		c, err := Listen(args[1])
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, "ready")
		_, _ = io.Copy(io.Discard, stdin)
		return json.NewEncoder(stdout).Encode(c.Close())
	}
	return fmt.Errorf("oracle: there is no part %q", args[0])
}

func readDoors(r io.Reader) ([]Door, io.Reader, error) {
	var doors []Door
	d := json.NewDecoder(r)
	if err := d.Decode(&doors); err != nil {
		return nil, nil, fmt.Errorf("oracle: doors: %w", err)
	}
	return doors, io.MultiReader(d.Buffered(), r), nil
}

// Exit runs Main for a process that is nothing else.
func Exit(args []string) {
	if err := Main(context.Background(), args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
