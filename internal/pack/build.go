package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"

	"bankauth/internal/hosts"
)

// platforms returns those to build for.
func platforms(here bool) []hosts.Platform {
	if here {
		return []hosts.Platform{{OS: runtime.GOOS, Arch: runtime.GOARCH}}
	}
	return hosts.Platforms()
}

// most is what a release's binary may have, in bytes.
const most = 30_000_000

// stripped is how the linker makes a release's binary.
const stripped = "-s -w"

// compile builds the binary for a platform without cgo, without the paths of
// this machine and with the edited kong. .goreleaser.yaml has the same flags, those
// of the linker being stripped.
func compile(at hosts.Platform, program, linker string) error {
	if err := prepare(); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-modfile="+editedMod, "-ldflags="+linker, "-o", program, "./cmd/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+at.OS, "GOARCH="+at.Arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building for %s/%s: %w\n%s", at.OS, at.Arch, err, out)
	}
	return nil
}

// packages writes into dir, which it makes: bin/ (a folder for each platform),
// npm/ (a folder for each package) and mcpb/ (what the bundle is packed from).
func packages(dir string, at []hosts.Platform) error {
	for _, p := range at {
		program := filepath.Join(dir, "bin", p.OS+"-"+p.Arch, p.Program())
		if err := compile(p, program, stripped); err != nil {
			return err
		}
		binary, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		if len(binary) >= most {
			return fmt.Errorf("%s has %d bytes, and may have %d; go run ./internal/pack -sizes says what is in it", program, len(binary), most)
		}
		if err := place(dir, p, binary); err != nil {
			return err
		}
	}
	return copies(dir)
}

// place puts the binary for a platform into the packages that carry it.
func place(dir string, at hosts.Platform, binary []byte) error {
	manifest, err := release().NPMBinary(at)
	if err != nil {
		return err
	}
	platform, cpu := at.Node()
	npm := filepath.Join(dir, "npm", platform+"-"+cpu)
	if err := write(filepath.Join(npm, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	programs := []string{filepath.Join(npm, at.Program())}
	// A bundle cannot choose by processor on Windows; an arm64 one runs amd64.
	if bundled := "bankauth-" + at.OS + "-" + at.Arch; at.OS != "windows" {
		programs = append(programs, filepath.Join(dir, "mcpb", "server", bundled))
	} else if at.Arch == "amd64" {
		programs = append(programs, filepath.Join(dir, "mcpb", filepath.FromSlash(hosts.BundleWindows)))
	}
	for _, program := range programs {
		if err := write(program, binary, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// copies puts what is the same for all platforms beside the binaries.
func copies(dir string) error {
	for from, to := range map[string]string{
		"packaging/npm/package.json":   "npm/bankauth/package.json",
		"packaging/npm/bankauth.js":    "npm/bankauth/bankauth.js",
		"README.md":                    "npm/bankauth/README.md",
		"packaging/mcpb/manifest.json": "mcpb/manifest.json",
		"packaging/mcpb/launch.sh":     "mcpb/" + hosts.BundleLaunch,
	} {
		body, err := os.ReadFile(filepath.FromSlash(from))
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if ext := filepath.Ext(from); ext == ".js" || ext == ".sh" {
			mode = 0o755
		}
		if err := write(filepath.Join(dir, filepath.FromSlash(to)), body, mode); err != nil {
			return err
		}
	}
	return nil
}

// printRegistry writes the registry's entry with the bundle in the file path.
func printRegistry(w io.Writer, path string) error {
	bundle, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	r := release()
	sum := sha256.Sum256(bundle)
	r.Bundle = hex.EncodeToString(sum[:])
	entry, err := r.Registry()
	if err != nil {
		return err
	}
	_, err = w.Write(entry)
	return err
}

// printCatalogue writes the entry of Docker's catalogue with the commit that
// is to be built.
func printCatalogue(w io.Writer, commit string) error {
	if !wholeCommit.MatchString(commit) {
		return fmt.Errorf("%q is no commit: 40 hex digits are asked for", commit)
	}
	r := release()
	r.Commit = commit
	entry, err := r.Catalogue()
	if err != nil {
		return err
	}
	_, err = w.Write(entry)
	return err
}

// A branch or a tag could be moved after Docker has looked at it.
var wholeCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
