package hosts

import "regexp"

// Who publishes bankauth. Whoever does so elsewhere changes owner, or the names
// one by one, and runs go run ./internal/pack: it writes them wherever they
// stand.
const (
	product    = "bankauth"
	owner      = "bankauth"
	Repository = "https://github.com/" + owner + "/" + product
	RegistryID = "io.github." + owner + "/" + product // in the MCP registry; npm package and image repeat it
	image      = "ghcr.io/" + owner + "/" + product
	npmName    = "@" + owner + "/" + product
)

// Named are the files beside the manifests in which the publisher's names
// stand, with slashes, from the repository's root.
func Named() []string {
	return []string{".goreleaser.yaml", "Dockerfile", "apis.yml", "docs/install.md", "docs/release.md"}
}

// Name returns text with the publisher's names as they are now in place of
// those that it has, and whether it has any.
func Name(text []byte) (named []byte, found bool) {
	const whose = `[A-Za-z0-9][A-Za-z0-9_.-]*`
	for _, n := range []struct{ shape, now string }{
		{`https://github\.com/` + whose + `/` + product + `\b`, Repository},
		{`\bio\.github\.` + whose + `/` + product + `\b`, RegistryID},
		{`\bghcr\.io/` + whose + `/` + product + `\b`, image},
		{`\B@` + whose + `/` + product + `\b`, npmName},
		{`\badd ` + whose + `/` + product + `\b`, "add " + owner + "/" + product}, // as Claude Code and skills name a repository on GitHub
		{`\{ owner: ` + whose + `, name: ` + product + ` \}`, "{ owner: " + owner + ", name: " + product + " }"},
	} {
		shape := regexp.MustCompile(n.shape)
		found = found || shape.Match(text)
		text = shape.ReplaceAllLiteral(text, []byte(n.now))
	}
	return text, found
}
