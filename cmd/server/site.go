package main

import (
	"maps"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/internal/discovery"
	"bankauth/internal/hosts"
	"bankauth/internal/rest"
	"bankauth/internal/skill"
	"bankauth/tools"
)

// describe adds the routes of the skill, which leads to the tools over MCP,
// and of the documents that say what is served at base.
func describe(routes map[string]http.Handler, base string, set *tools.Set) error {
	site, err := siteAt(base, set.Tools())
	if err != nil {
		return err
	}
	documents, err := site.Routes()
	if err != nil {
		return err
	}
	maps.Copy(routes, documents)
	var led []skill.Tool
	for _, t := range site.Tools {
		led = append(led, skill.Derived(t.Name, t.Description, site.Name, "mcp"))
	}
	h := site.Skill.Handler(led)
	for _, path := range skill.Paths() {
		routes[path] = h
	}
	return nil
}

// siteAt is what a server at base says of itself.
func siteAt(base string, offered []tools.Tool) (discovery.Site, error) {
	s := discovery.Site{
		Base: base, Name: tools.Name, Description: tools.Description, Version: thisRelease().Version, REST: rest.About, Registry: hosts.RegistryID, Repository: hosts.Repository,
		Revisions: mcp.ValidProtocolVersions, Legacy: mcp.LegacyProtocolVersions(),
	}
	for _, t := range offered {
		s.Tools = append(s.Tools, discovery.Tool{Name: t.Name, Title: t.Title, Description: t.Description})
	}
	var err error
	s.Skill, err = skill.Bundled()
	return s, err
}
