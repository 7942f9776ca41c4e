package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/openapi"
)

// release is what the program knows of how it was built.
type release struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"` // "" where the build was not stamped
	Time    string `json:"commit_time,omitempty"`
	Go      string `json:"go"`
}

// report is what a bug report needs: the release, where it runs, what it
// speaks and what it is made of. It has no path and no setting, so that it can
// be shown to anybody.
type report struct {
	release
	OS        string            `json:"os"`
	Arch      string            `json:"arch"`
	Protocols []string          `json:"mcp_revisions"`
	Providers []string          `json:"bundled_providers"`
	Modules   map[string]string `json:"modules"` // path and version
}

func thisReport() report {
	r := report{release: thisRelease(), OS: runtime.GOOS, Arch: runtime.GOARCH, Protocols: mcp.ValidProtocolVersions, Providers: openapi.Bundled(), Modules: map[string]string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			r.Modules[m.Path] = m.Version
			if m.Replace != nil {
				r.Modules[m.Path] += " edited" // as a release's kong is
			}
		}
	}
	return r
}

func thisRelease() release {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release{Version: "unknown"}
	}
	return releaseOf(info)
}

func releaseOf(info *debug.BuildInfo) release {
	r := release{Version: info.Main.Version, Go: info.GoVersion}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = s.Value
		case "vcs.time":
			r.Time = s.Value
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
	JSON bool `name:"json" help:"Print JSON, with all that a bug report needs."`
}

// Run prints the release.
func (c *versionCommand) Run(p *process) error {
	if c.JSON {
		return json.NewEncoder(p.out).Encode(thisReport())
	}
	r := thisRelease()
	commit := r.Commit
	if commit == "" {
		commit = "not known: the build has no stamp of one"
	}
	_, err := fmt.Fprintf(p.out, "bankauth %s\ncommit   %s\ngo       %s %s/%s\n", r.Version, commit, r.Go, runtime.GOOS, runtime.GOARCH)
	return err
}
