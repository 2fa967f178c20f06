// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

// Command browser builds the package of client/js: the engine that judges
// passwords in a page, and the tables it needs. Built for wasip1, the same
// directory is that engine.
//
//	go run ./server/browser -out client/js
//
// The same sources give the same bytes on every machine: the Go toolchain is
// the one that the package's manifest names, unless -go names another.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/watchword-project/watchword/server/internal/strength"
	"github.com/watchword-project/watchword/wordlists"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "client/js", "the package's folder")
	toolchain := flag.String("go", "", "the Go toolchain to build with, as in go1.26.8; default: the one of the manifest")
	flag.Parse()
	if err := run(*out, *toolchain); err != nil {
		log.Fatal(err)
	}
}

// run makes the built files of the package in dir, which holds package.json.
func run(dir, toolchain string) error {
	if toolchain == "" {
		var err error
		if toolchain, err = recorded(dir); err != nil {
			return err
		}
	}
	files, err := build(toolchain)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return err
	}
	var pkg struct{ Version string }
	if err := json.Unmarshal(b, &pkg); err != nil {
		return fmt.Errorf("package.json: %w", err)
	}
	if files["THIRD-PARTY"], err = licences(toolchain); err != nil {
		return err
	}
	files["manifest.js"] = manifest(pkg.Version, toolchain, files)
	for _, name := range []string{"LICENSE", "NOTICE"} {
		if files[name], err = os.ReadFile(filepath.Join(root(), name)); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var goVersion = regexp.MustCompile(`"go": "(go[0-9.]+)"`)

// recorded is the toolchain that the manifest in dir names.
func recorded(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.js"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("there is no manifest.js yet: name a toolchain with -go")
	} else if err != nil {
		return "", err
	}
	m := goVersion.FindSubmatch(b)
	if m == nil {
		return "", errors.New("manifest.js names no toolchain")
	}
	return string(m[1]), nil
}

// modules are the packages of what runs in a page, as go names them from the
// top, by the file that they make.
var modules = map[string]string{"engine.wasm.gz": "./server/browser", "private.wasm.gz": "./server/browser/asker"}

// build makes the modules and gathers the engine's tables.
func build(toolchain string) (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "watchword-browser-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files := map[string][]byte{"strength.bin": strength.Tables(), "list.bin": []byte(wordlists.Common().Table())}
	for name, pkg := range modules {
		wasm := filepath.Join(dir, name)
		if _, err := goCommand(toolchain, "build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w", "-o", wasm, pkg); err != nil {
			return nil, err
		}
		module, err := os.ReadFile(wasm)
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := z.Write(module); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		files[name] = packed.Bytes()
	}
	return files, nil
}

// goCommand runs the toolchain for the engine's machine, with nothing of the
// environment that changes what it makes.
func goCommand(toolchain string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWASM=", "GOEXPERIMENT=", "GOFIPS140=off", "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOTOOLCHAIN="+toolchain)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s with %s: %w\n%s", args[0], toolchain, err, stderr.Bytes())
	}
	return out, nil
}

// licences gathers those of the libraries that are in the modules, which ask to
// go wherever it goes.
func licences(toolchain string) ([]byte, error) {
	list, err := goCommand(toolchain, "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}",
		modules["engine.wasm.gz"], modules["private.wasm.gz"])
	if err != nil {
		return nil, err
	}
	goroot, err := goCommand(toolchain, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	found := strings.Fields(string(list))
	dirs := map[string]string{"Go": strings.TrimSpace(string(goroot))}
	for i := 0; i+1 < len(found); i += 2 {
		dirs[found[i]] = found[i+1]
	}
	var b bytes.Buffer
	b.WriteString("engine.wasm.gz and private.wasm.gz hold code of the following.\n")
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		for _, file := range []string{"LICENSE", "NOTICE"} {
			text, err := os.ReadFile(filepath.Join(dirs[name], file))
			if errors.Is(err, fs.ErrNotExist) && file == "NOTICE" {
				continue
			} else if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "\n%s %s\n%s\n\n%s", name, file, strings.Repeat("-", len(name)+1+len(file)), text)
		}
	}
	return b.Bytes(), nil
}

// manifest is the module that tells the loader what belongs together.
func manifest(version, toolchain string, files map[string][]byte) []byte {
	type file struct {
		Bytes  int    `json:"bytes"`
		SHA256 string `json:"sha256"`
	}
	m := struct {
		Version string          `json:"version"`
		ID      string          `json:"id"`
		Go      string          `json:"go"`
		Files   map[string]file `json:"files"`
	}{Version: version, Go: toolchain, Files: map[string]file{}}
	id := sha256.New()
	for _, name := range []string{"engine.wasm.gz", "strength.bin", "list.bin", "private.wasm.gz"} {
		sum := sha256.Sum256(files[name])
		m.Files[name] = file{len(files[name]), hex.EncodeToString(sum[:])}
		if name != "private.wasm.gz" { // judges nothing
			id.Write(sum[:])
		}
	}
	m.ID = hex.EncodeToString(id.Sum(nil))
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // it holds text and numbers
	}
	return []byte("// SPDX-License-Identifier: Apache-2.0\n// Copyright 2026 The watchword authors\n\n" +
		"// Made by server/browser: the files that make one engine.\nexport const manifest = " + string(b) + ";\n")
}

// root is the top of the module, found from here upwards.
func root() string {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		log.Fatalf("go env: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
