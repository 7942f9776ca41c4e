package main

import (
	"runtime/debug"
	"testing"
)

// TestRelease: a build that Go has stamped says its version, its commit and
// whether the files were those of the commit; one without a stamp says so.
func TestRelease(t *testing.T) {
	stamp := func(version, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: version}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-11-28T15:00:00Z"}, {Key: "vcs.modified", Value: modified}}}
	}
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		want release
	}{
		"a tag":     {stamp("v1.2.3", "false"), release{"v1.2.3", "0123abc", "2026-11-28T15:00:00Z", "go1.26"}},
		"changed":   {stamp("v1.2.3+dirty", "true"), release{"v1.2.3+dirty", "0123abc with changes", "2026-11-28T15:00:00Z", "go1.26"}},
		"no stamp":  {&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}}, release{"devel", "", "", "go1.26"}},
		"no module": {&debug.BuildInfo{}, release{Version: "devel"}},
	} {
		if got := releaseOf(c.info); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
