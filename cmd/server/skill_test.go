package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/skill"
)

// TestSkillJourneysWork makes every call that the skill shows, one after
// another, against the simulated banks.
func TestSkillJourneysWork(t *testing.T) {
	s := start(t, nil, "stdio", "--simulate")
	ref, user := "", ""
	for i, line := range taughtCalls(t) {
		tool, arguments, _ := strings.Cut(strings.NewReplacer("tok_…", ref, "USER", user).Replace(line), " ")
		answer := makeCall(t, s, i, tool, strings.Fields(arguments))
		may := []string{""}
		if strings.Contains(line, "authorization_code") { // there is no person here
			may = []string{"consent_required", "invalid_argument"}
		}
		if !slices.Contains(may, answer.Error.Code) {
			t.Errorf("%s is answered %+v", line, answer.Error)
		}
		if answer.TokenRef != "" {
			ref = answer.TokenRef
		}
		if answer.ID != "" {
			user = answer.ID
		}
	}
	if rest := s.end(t); rest != "" {
		t.Errorf("the server went on: %s", rest)
	}
}

// taughtCalls returns the lines of the blocks that the skill marks as calls.
func taughtCalls(t *testing.T) []string {
	t.Helper()
	taught, err := skill.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	journeys, _ := taught.File("references/journeys.md")
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```call\n(.*?)\n```").FindAllStringSubmatch(string(journeys.Body), -1) {
		lines = append(lines, strings.Split(block[1], "\n")...)
	}
	if len(lines) < 8 {
		t.Fatalf("the skill shows %d calls", len(lines))
	}
	return lines
}

type taughtAnswer struct {
	TokenRef string `json:"token_ref"`
	ID       string
	Error    struct{ Code, Message string }
}

func makeCall(t *testing.T, s *program, id int, tool string, words []string) taughtAnswer {
	t.Helper()
	arguments := map[string]string{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		arguments[name] = value
	}
	call, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments}})
	if err != nil {
		t.Fatal(err)
	}
	s.say(t, string(call))
	var said struct {
		Result struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal([]byte(s.hear(t)), &said); err != nil || len(said.Result.Content) != 1 {
		t.Fatalf("%s %v: %v", tool, words, err)
	}
	var answer taughtAnswer
	if err := json.Unmarshal([]byte(said.Result.Content[0].Text), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
