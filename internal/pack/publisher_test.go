package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bankauth/internal/hosts"
)

// TestPublisher: the names of who publishes bankauth stand nowhere but where
// this command writes them.
func TestPublisher(t *testing.T) {
	written := hosts.Named()
	files, err := hosts.Manifests(release())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		written = append(written, f.Path)
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "node_modules", "build", "dist"}, d.Name()) {
			return filepath.SkipDir
		}
		if info, err := d.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 { // a program that somebody built
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		named, found := hosts.Name(text)
		if found && !slices.Contains(written, filepath.ToSlash(path)) {
			t.Errorf("%s has the publisher's names, and go run ./internal/pack does not write them", path)
		}
		if !bytes.Equal(named, text) {
			t.Errorf("%s names somebody else as the publisher: go run ./internal/pack", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
