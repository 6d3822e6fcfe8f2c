package wire_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc/status"
)

// TestThePageIsRight holds docs/plugin-protocol.md against the constants, the library, the vectors and the .proto file.
func TestThePageIsRight(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "plugin-protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	want := []string{
		"`" + wire.CookieKey + "`", "`" + wire.CookieValue + "`", "`" + goplugin.GRPCServiceName + "`",
		fmt.Sprintf("`%d|%d|unix|", goplugin.CoreProtocolVersion, wire.ProtocolVersion),
		fmt.Sprintf("%d KiB", wire.MaxChunkBytes>>10), fmt.Sprintf("%d MiB", wire.MaxMessageBytes>>20),
		fmt.Sprintf("%d MiB", wire.MaxGraphBytes>>20), "262,144", "65,536", fmt.Sprintf("%d nodes", wire.MaxSupportsNodes), fmt.Sprintf("%d inputs", wire.MaxNodeInputs),
		fmt.Sprintf("%d bytes of UTF-8", wire.MaxTextBytes),
	}
	file := (&pb.Graph{}).ProtoReflect().Descriptor().ParentFile()
	methods := file.Services().Get(0).Methods()
	for i := range methods.Len() {
		want = append(want, "`"+string(methods.Get(i).Name())+"`")
	}
	kinds := pb.ErrorKind(0).Descriptor().Values()
	for i := 1; i < kinds.Len(); i++ {
		want = append(want, "`"+strings.TrimPrefix(string(kinds.Get(i).Name()), "ERROR_KIND_")+"`")
	}
	for err, code := range sentinels {
		want = append(want, fmt.Sprintf("| %d %s |", code, screaming(code.String())))
		details := status.Convert(wire.EncodeError(err)).Proto().GetDetails()
		if len(details) != 1 {
			t.Fatalf("%v: got %d details", err, len(details))
		}
		want = append(want, "`"+details[0].GetTypeUrl()+"`")
	}
	v := readVectors(t)
	for _, m := range v.Messages {
		if m.Name == "graph/tiny" && !strings.Contains(strings.ReplaceAll(page, "\n", ""), m.Hex) {
			t.Errorf("the page has other bytes of %s than %s", m.Name, m.Hex)
		}
		if m.Name == "supports/answers" || m.Name == "compile/3" || m.Name == "run" || m.Name == "execute" {
			want = append(want, m.Hex)
		}
	}
	for _, c := range v.Tensors {
		if c.Hex != "" {
			want = append(want, "`"+c.Hex+"`")
		}
	}
	want = append(want, v.Run.InputHex, v.Run.OutputHex)
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
}

// screaming is the name of a gRPC code as other languages have it.
func screaming(s string) string {
	s = strings.Replace(s, "Canceled", "Cancelled", 1)
	return strings.ToUpper(regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(s, "${1}_$2"))
}
