package hosts

import "strings"

// npmPackage is a package.json.
type npmPackage struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	Description string            `json:"description"`
	License     string            `json:"license"`
	Repository  map[string]string `json:"repository"`
	RegistryID  string            `json:"mcpName,omitempty"` // proves to the MCP registry whose the package is
	Bin         map[string]string `json:"bin,omitempty"`
	Files       []string          `json:"files"`
	OS          []string          `json:"os,omitempty"`
	CPU         []string          `json:"cpu,omitempty"`
	Optional    map[string]string `json:"optionalDependencies,omitempty"`
	Engines     map[string]string `json:"engines,omitempty"`
}

// Platform is a system that a release has a binary for.
type Platform struct{ OS, Arch string } // as Go names them

// Platforms returns the six.
func Platforms() []Platform {
	var all []Platform
	for _, system := range []string{"linux", "darwin", "windows"} {
		all = append(all, Platform{system, "amd64"}, Platform{system, "arm64"})
	}
	return all
}

// Program returns the name of the binary.
func (p Platform) Program() string {
	if p.OS == "windows" {
		return product + ".exe"
	}
	return product
}

// Node returns what Node calls the platform and the processor.
func (p Platform) Node() (platform, cpu string) {
	return strings.Replace(p.OS, "windows", "win32", 1), strings.Replace(p.Arch, "amd64", "x64", 1)
}

// npm is the package that people install. It has a launcher; npm itself picks
// the one package with the binary that fits, so nothing runs at installation.
func (r Release) npm() npmPackage {
	p := r.npmPackage(npmName)
	p.RegistryID, p.Files = RegistryID, []string{"bankauth.js"}
	p.Bin, p.Optional, p.Engines = map[string]string{product: "bankauth.js"}, map[string]string{}, map[string]string{"node": ">=18"}
	for _, at := range Platforms() {
		p.Optional[at.npmName()] = r.Version
	}
	return p
}

func (p Platform) npmName() string {
	platform, cpu := p.Node()
	return npmName + "-" + platform + "-" + cpu
}

func (r Release) npmPackage(name string) npmPackage {
	return npmPackage{Name: name, Version: r.Version, Description: about, License: licence, Repository: map[string]string{"type": "git", "url": "git+" + Repository + ".git"}}
}

// NPMBinary returns the package.json of the package with the binary for one
// platform.
func (r Release) NPMBinary(at Platform) ([]byte, error) {
	p := r.npmPackage(at.npmName())
	platform, cpu := at.Node()
	p.OS, p.CPU, p.Files = []string{platform}, []string{cpu}, []string{at.Program()}
	return indented(p)
}
