package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
)

// winres writes into a program of Windows what its Explorer shows of it.
const winres = "github.com/tc-hib/go-winres@v0.3.3"

// descriptions are what Windows shows of each program, in the list of running ones, too.
var descriptions = map[string]string{
	"dial":   "Dialtone dial: tests the network paths that ILLiad needs",
	"listen": "Dialtone listen: stands in for an ILLiad server in a test of network paths",
}

// resourcesOf gives a program of Windows its version, icon and manifest: as the user, with
// long names of files. What Defender and people see of a program without any is nothing.
func (r *release) resourcesOf(ctx context.Context, b built, name string) error {
	dir := filepath.Join(b.dir, "resources-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, icon(name == "listen")); err != nil {
		return err
	}
	version := r.version + ".0"
	const neutral, english = "0000", "0409"
	tree, err := json.Marshal(map[string]any{
		"RT_GROUP_ICON": map[string]any{"APP": map[string]any{neutral: "icon.png"}},
		"RT_MANIFEST": map[string]any{"#1": map[string]any{english: map[string]any{
			"description": descriptions[name], "minimum-os": "win10", "execution-level": "as invoker", "long-path-aware": true,
		}}},
		"RT_VERSION": map[string]any{"#1": map[string]any{neutral: map[string]any{
			"fixed": map[string]any{"file_version": version, "product_version": version},
			"info": map[string]any{english: map[string]any{
				"CompanyName": "Dialtone", "FileDescription": descriptions[name], "FileVersion": r.version, "InternalName": name,
				"LegalCopyright": fmt.Sprintf("%d the authors of Dialtone, Apache-2.0", r.at.Year()), "OriginalFilename": name + ".exe",
				"ProductName": "Dialtone", "ProductVersion": r.version,
			}},
		}}},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "icon.png"), picture.Bytes(), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "winres.json"), tree, 0o600); err != nil {
		return err
	}
	tool, err := r.tool(ctx, &r.winres, winres, "go-winres")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, "patch", "--in", filepath.Join(dir, "winres.json"), "--no-backup", b.program(name))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go-winres: %w\n%s", err, out)
	}
	return nil
}

// icon draws what both programs are known by: a voice and what hears it. Of dial the waves
// leave the dot, of listen they come to it.
func icon(mirrored bool) image.Image {
	const size, fine = 256, 4 // pixels, and how often each is looked at in each direction
	ground, ink := color.NRGBA{0x0b, 0x5a, 0x48, 0xff}, color.NRGBA{0xff, 0xff, 0xff, 0xff}
	if mirrored {
		ground = color.NRGBA{0x1d, 0x3f, 0x72, 0xff}
	}
	at := func(x, y float64) (in, drawn bool) {
		// A square with round corners.
		const half, corner = 0.5, 0.2
		dx, dy := math.Max(math.Abs(x-half)-(half-corner), 0), math.Max(math.Abs(y-half)-(half-corner), 0)
		if math.Hypot(dx, dy) > corner {
			return false, false
		}
		if mirrored {
			x = 1 - x
		}
		x, y = x-0.24, y-0.5
		far := math.Hypot(x, y)
		if far < 0.09 {
			return true, true
		}
		if math.Abs(math.Atan2(y, x)) > math.Pi/4 {
			return true, false
		}
		for _, ring := range []float64{0.22, 0.38, 0.54} {
			if math.Abs(far-ring) < 0.035 {
				return true, true
			}
		}
		return true, false
	}
	out := image.NewNRGBA(image.Rect(0, 0, size, size))
	for py := range size {
		for px := range size {
			in, drawn := 0, 0
			for i := range fine * fine {
				a, b := at((float64(px)+(float64(i%fine)+0.5)/fine)/size, (float64(py)+(float64(i/fine)+0.5)/fine)/size)
				if a {
					in++
				}
				if b {
					drawn++
				}
			}
			if in == 0 {
				continue
			}
			mix := func(a, b uint8) uint8 { return uint8((int(a)*(in-drawn) + int(b)*drawn) / in) }
			out.SetNRGBA(px, py, color.NRGBA{mix(ground.R, ink.R), mix(ground.G, ink.G), mix(ground.B, ink.B), uint8(255 * in / (fine * fine))})
		}
	}
	return out
}
