package conformance_test

import (
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/conformance"
)

// TestTheDocumentNamesEveryKindOfCase: docs/conformance/cases.md has a row for the first part of every case's name.
func TestTheDocumentNamesEveryKindOfCase(t *testing.T) {
	text, err := os.ReadFile("../docs/conformance/cases.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, c := range conformance.Cases() {
		if kind, _, _ := strings.Cut(c.Name, "/"); !strings.Contains(string(text), "`"+kind+"/") {
			missing[kind] = true
		}
	}
	if len(missing) > 0 {
		t.Errorf("docs/conformance/cases.md has no row for %v", missing)
	}
}
