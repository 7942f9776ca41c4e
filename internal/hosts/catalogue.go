package hosts

import "go.yaml.in/yaml/v4"

// catalogue is the entry in Docker's MCP catalogue. What checks one is
// cmd/validate in github.com/docker/mcp-registry.
type catalogue struct {
	Name  string `yaml:"name"`
	Image string `yaml:"image"`
	Type  string `yaml:"type"`
	Meta  struct {
		Category string   `yaml:"category"`
		Tags     []string `yaml:"tags"`
	} `yaml:"meta"`
	About struct {
		Title       string `yaml:"title"`
		Description string `yaml:"description"`
	} `yaml:"about"`
	Source struct {
		Project    string `yaml:"project"`
		Commit     string `yaml:"commit,omitempty"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"source"`
	Run struct {
		Command    []string `yaml:"command"`
		Volumes    []string `yaml:"volumes"`
		AllowHosts []string `yaml:"allowHosts"`
	} `yaml:"run"`
	Config struct {
		Description string          `yaml:"description"`
		Secrets     []dockerSecret  `yaml:"secrets"`
		Env         []dockerSetting `yaml:"env"`
		Parameters  struct {
			Type       string                     `yaml:"type"`
			Properties map[string]dockerParameter `yaml:"properties"`
		} `yaml:"parameters"`
	} `yaml:"config"`
}

type dockerSecret struct {
	Name    string `yaml:"name"`
	Env     string `yaml:"env"`
	Example string `yaml:"example"`
}

type dockerSetting struct {
	Name    string `yaml:"name"`
	Example string `yaml:"example"`
	Value   string `yaml:"value"`
}

type dockerParameter struct {
	Type        string `yaml:"type"`
	Description string `yaml:"description"`
	Default     string `yaml:"default,omitempty"`
}

func (r Release) catalogue() catalogue {
	c := catalogue{Name: product, Image: "mcp/" + product, Type: "server"}
	c.Meta.Category, c.Meta.Tags = "finance", []string{"open-banking", "oauth", "credentials"}
	c.About.Title, c.About.Description = "Bankauth", about+"." // a title in small letters is refused
	c.Source.Project, c.Source.Commit, c.Source.Dockerfile = Repository, r.Commit, "Dockerfile"
	c.Run.Command, c.Run.AllowHosts = []string{"stdio"}, r.Hosts
	c.Run.Volumes = []string{product + ":/data"}
	c.Config.Description = "The credentials of the providers that you use; leave out the others."
	c.Config.Parameters.Type, c.Config.Parameters.Properties = "object", map[string]dockerParameter{}
	for _, q := range r.inContainer() {
		if q.secret {
			c.Config.Secrets = append(c.Config.Secrets, dockerSecret{product + "." + q.key(), q.variable, "<YOUR_" + q.variable + ">"})
			continue
		}
		c.Config.Env = append(c.Config.Env, dockerSetting{q.variable, q.fallback, "{{" + product + "." + q.key() + "}}"})
		c.Config.Parameters.Properties[q.key()] = dockerParameter{"string", q.described(), q.fallback}
	}
	return c
}

// prettier writes value in the form of the tool of that name, on which the
// catalogue insists.
func prettier(value any) ([]byte, error) {
	return yaml.Dump(value, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(-1), yaml.WithQuotePreference(yaml.QuoteDouble))
}
