// Command pack writes what people install bankauth with.
//
//	go run ./internal/pack                   the manifests in the repository, and the publisher's names in other files
//	go run ./internal/pack -build DIR        the packages of a release, with their binaries, into DIR
//	go run ./internal/pack -build DIR -here  the same with the binary for this machine alone
//	go run ./internal/pack -registry BUNDLE  the registry's server.json with the bundle that was packed
//	go run ./internal/pack -docker COMMIT    the catalogue's server.yaml, for Docker to build that commit
//	go run ./internal/pack -prepare          build/release, with what a release build changes in kong
//	go run ./internal/pack -share DIR        the man page and the completions
//	go run ./internal/pack -sbom PROGRAM     the bill of materials of a release binary
//	go run ./internal/pack -sizes            what each dependency adds to the binary
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"bankauth/internal/hosts"
	"bankauth/schema"
)

// version is the release that the repository is at. A tag has the same with a
// v before it; .ci/run compares the two.
const version = "0.1.0"

func main() {
	build := flag.String("build", "", "write the packages of a release into this `folder`")
	here := flag.Bool("here", false, "with -build: the binary for this machine alone")
	bundle := flag.String("registry", "", "print server.json with this MCPB `bundle`")
	commit := flag.String("docker", "", "print the catalogue's server.yaml with this `commit`")
	prepared := flag.Bool("prepare", false, "write what a release build changes in kong")
	shared := flag.String("share", "", "write the man page and the completions into this `folder`")
	program := flag.String("sbom", "", "print the bill of materials of this `program`")
	sizes := flag.Bool("sizes", false, "print what each dependency adds to the binary")
	flag.Parse()
	var err error
	switch {
	case *sizes:
		err = printSizes(os.Stdout)
	case *program != "":
		err = printSBOM(os.Stdout, *program)
	case *bundle != "":
		err = printRegistry(os.Stdout, *bundle)
	case *commit != "":
		err = printCatalogue(os.Stdout, *commit)
	case *prepared:
		err = prepare()
	case *shared != "":
		err = share(*shared)
	case *build != "":
		err = packages(*build, platforms(*here))
	default:
		err = writeManifests(".", release())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func release() hosts.Release {
	r := hosts.Release{Version: version}
	bundled, err := schema.Bundled()
	if err != nil {
		panic(err) // the program itself is broken, as schema's tests would say
	}
	r.Providers = bundled
	for _, p := range bundled {
		for _, e := range p.Environments {
			if u, err := url.Parse(e.URL); err == nil {
				r.Hosts = append(r.Hosts, u.Hostname()+":443")
			}
		}
	}
	slices.Sort(r.Hosts)
	r.Hosts = slices.Compact(r.Hosts)
	return r
}

// writeManifests writes the manifests of r below root, and the publisher's
// names into what is written by hand.
func writeManifests(root string, r hosts.Release) error {
	files, err := hosts.Manifests(r)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := write(filepath.Join(root, filepath.FromSlash(f.Path)), f.Body, 0o644); err != nil {
			return err
		}
	}
	for _, name := range hosts.Named() {
		path := filepath.Join(root, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, _ = hosts.Name(text)
		if err := write(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, body []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, mode)
}
