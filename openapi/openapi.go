// Package openapi carries the providers' documents and how bankauth reads
// them. It holds files and nothing else; package schema reads them.
package openapi

import "embed"

// Files holds, for each bundled provider, NAME.yaml (its OpenAPI document) and
// NAME.overlay.yaml (an OpenAPI Overlay with our x-bankauth fields).
//
//go:embed *.yaml
var Files embed.FS

// OverlaySchema is the JSON Schema of an overlay.
//
//go:embed overlay.schema.json
var OverlaySchema []byte

// Bundled returns the names of the bundled providers, in the order in which
// the tools list them.
func Bundled() []string { return []string{"fintecture", "flinks", "finapi"} }
