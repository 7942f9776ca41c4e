// Package skills carries the Agent Skills that teach an agent to work with
// bankauth. It holds files and nothing else; internal/skill reads them.
package skills

import "embed"

// Files holds a folder for each skill, as the Agent Skills specification wants
// it: SKILL.md and what it refers to.
//
//go:embed open-banking-credentials
var Files embed.FS

// Name is the one skill that there is, and its folder.
const Name = "open-banking-credentials"
