package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// sign signs a program or an installer of Windows, if a certificate was given: unsigned
// programs in Go are taken for something bad by Defender now and then, and SmartScreen
// asks about them. The time in it is the commit's, so that a key of RSA signs the same
// twice; with --sign-timestamp an authority on the network adds its own.
func (r *release) sign(ctx context.Context, file string) error {
	if r.signCert == "" {
		return nil
	}
	signed := file + ".signed"
	args := []string{"sign", "-certs", r.signCert, "-key", r.signKey, "-h", "sha256", "-n", "Dialtone", "-time", strconv.FormatInt(r.at.Unix(), 10)}
	if r.signPassword != "" {
		args = append(args, "-readpass", r.signPassword)
	}
	if r.signTime != "" {
		args = append(args, "-ts", r.signTime)
	}
	cmd := exec.CommandContext(ctx, "osslsigncode", append(args, "-in", file, "-out", signed)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("osslsigncode: %w\n%s", err, out)
	}
	return os.Rename(signed, file)
}
