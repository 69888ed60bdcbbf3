package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// partsList is what the programs of a platform are made of, as CycloneDX 1.5: every
// module that Go's linker recorded in them, with the checksum that go.sum holds.
func (r *release) partsList(b built) ([]byte, error) {
	type hash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	type component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl"`
		Hashes  []hash `json:"hashes,omitempty"`
	}
	type dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
	goVersion := strings.TrimPrefix(b.golang, "go")
	of := func(kind, path, version string) component {
		at := fmt.Sprintf("pkg:golang/%s@%s", strings.ReplaceAll(path, "!", "%21"), version)
		return component{Type: kind, Ref: at, Name: path, Version: version, PURL: at}
	}
	main := of("application", "dialtone", "v"+r.version)
	main.PURL += "?goos=" + b.goos + "&goarch=" + b.goarch
	std := of("library", "std", goVersion)
	parts := []component{std}
	depends := dependency{Ref: main.Ref, DependsOn: []string{std.Ref}}
	dependencies := []dependency{{Ref: std.Ref}}
	for _, m := range b.modules {
		c := of("library", m.path, m.version)
		// An h1 of go.sum is the SHA-256 of the list of the module's files, each with its own.
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:"))
		if err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("%s: no checksum %q", m.path, m.sum)
		}
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
		parts = append(parts, c)
		depends.DependsOn = append(depends.DependsOn, c.Ref)
		dependencies = append(dependencies, dependency{Ref: c.Ref})
	}
	bom := struct {
		Format   string `json:"bomFormat"`
		Spec     string `json:"specVersion"`
		Version  int    `json:"version"`
		Metadata any    `json:"metadata"`
		Parts    any    `json:"components"`
		Depends  any    `json:"dependencies"`
	}{"CycloneDX", "1.5", 1, struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}{r.at.Format(time.RFC3339), main}, parts, append([]dependency{depends}, dependencies...)}
	out, err := json.MarshalIndent(bom, "", "  ")
	return append(out, '\n'), err
}
