package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// lister makes a bill of materials from what Go has written into a binary. It
// is taken from the PATH where it is there.
const lister = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// printSBOM writes the CycloneDX bill of materials of a release binary. It
// names kong as what it is, edited, and not by the folder of the edited copy,
// so that a scanner finds it.
func printSBOM(w io.Writer, program string) error {
	args := []string{"cyclonedx-gomod"}
	if _, err := exec.LookPath(args[0]); err != nil {
		args = []string{"go", "run", lister}
	}
	cmd := exec.Command(args[0], append(args[1:], "bin", "-json", "-output-version", "1.6", program)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("listing what is in %s: %w", program, err)
	}
	version, err := kongIn(program)
	if err != nil {
		return err
	}
	out = bytes.ReplaceAll(out, []byte("./"+editedKong+"@(devel)"), []byte(kong+"@"+version))
	var bill map[string]any
	if err := json.Unmarshal(out, &bill); err != nil {
		return fmt.Errorf("reading the bill: %w", err)
	}
	components, _ := bill["components"].([]any)
	found := false
	for _, c := range components {
		if c, ok := c.(map[string]any); ok && c["name"] == "./"+editedKong {
			c["name"], c["version"], found = kong, version, true
			c["pedigree"] = map[string]any{"notes": "edited for the linker: internal/pack/kong.go"}
		}
	}
	if !found {
		return errors.New("the bill does not list the edited kong: is this a release binary?")
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(bill)
}

func kongIn(program string) (version string, err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	for _, m := range info.Deps {
		if m.Path == kong {
			return strings.TrimSpace(m.Version), nil
		}
	}
	return "", errors.New("there is no kong in it")
}
