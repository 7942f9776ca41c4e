package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// release is what the program knows of how it was built.
type release struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"` // "" where the build was not stamped
	Go      string `json:"go"`
}

func thisRelease() release {
	r := release{Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return r
	}
	r.Version, r.Go = info.Main.Version, info.GoVersion
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && r.Commit != "" {
		r.Commit += " with changes"
	}
	if r.Version == "" || r.Version == "(devel)" {
		r.Version = "devel" // it goes into a User-Agent, where brackets are a remark
	}
	return r
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the release.
func (c *versionCommand) Run(p *process) error {
	r := thisRelease()
	if c.JSON {
		return json.NewEncoder(p.out).Encode(r)
	}
	commit := r.Commit
	if commit == "" {
		commit = "not known: the build has no stamp of one"
	}
	_, err := fmt.Fprintf(p.out, "bankauth %s\ncommit   %s\ngo       %s\n", r.Version, commit, r.Go)
	return err
}
