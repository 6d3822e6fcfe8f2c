package submission

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// oneElement is the shape of one element.
var oneElement = graph.NewShape(1)

func writeFile(path string, data []byte) error { return os.WriteFile(path, data, 0o644) }

func TestHostileArchives(t *testing.T) {
	content, err := contents(honest())
	if err != nil {
		t.Fatal(err)
	}
	good := archive(t, content, true, members...)
	edit := func(change func([]byte) []byte) []byte { return change(slices.Clone(good)) }
	end := len(good) - 22
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(members), func(n string) bool { return n == name })
	}
	with := func(name string, data []byte) []byte {
		c := map[string][]byte{}
		for k, v := range content {
			c[k] = v
		}
		c[name] = data
		return archive(t, c, false, members...)
	}
	// A report of 100 MB of zeros, which pack to 100 kB.
	bomb := with(reportName, make([]byte, mostMemberBytes+1))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "want 22 to"},
		"no archive":         {bytes.Repeat([]byte("no archive "), 100), "want a zip archive"},
		"cut":                {good[:len(good)-1], "want a zip archive"},
		"with a comment":     {append(slices.Clone(good), "comment"...), "want a zip archive"},
		"a missing member":   {archive(t, content, true, without(pageName)...), "want 6 members"},
		"another member":     {archive(t, content, true, append(without(pageName), "../../etc/passwd")...), `"../../etc/passwd": want one of`},
		"a member twice":     {archive(t, content, true, append(without(pageName), reportName)...), `"conformance.json": it is there twice`},
		"one more":           {archive(t, content, true, append(slices.Clone(members), "x")...), "want 6 members"},
		"a bomb":             {bomb, `"conformance.json": want at most`},
		"a bomb that lies":   {lie(t, bomb), "conformance.json"},
		"a count that lies":  {edit(func(b []byte) []byte { b[end+10] = 200; return b }), "got 200 members"},
		"a size that lies":   {edit(func(b []byte) []byte { binary.LittleEndian.PutUint32(b[end+12:], 1); return b }), "in a directory at the end"},
		"a place that lies":  {edit(func(b []byte) []byte { binary.LittleEndian.PutUint32(b[end+16:], 1<<31); return b }), "in a directory at the end"},
		"a damaged member":   {edit(func(b []byte) []byte { b[len(b)/2] ^= 0x55; return b }), "read conformance package: "},
		"a link":             {link(t, content), `"conformance.json": want a plain file`},
		"no JSON":            {with(reportName, []byte("{")), "conformance.json: unexpected EOF"},
		"an unknown field":   {with(reportName, []byte(`{"excellent": true}`)), `unknown field "excellent"`},
		"no device":          {with(reportName, []byte(`{"devices": [null]}`)), "entry 0: want an object, got null"},
		"many objects":       {with(reportName, []byte(`{"devices": [{"results": [`+strings.Repeat("{},", mostObjects)+`{}]}]}`)), "want at most 524288 objects"},
		"many places":        {with(reportName, []byte(`{"devices": [{"results": [{"worst": {"place": [`+strings.Repeat("0,", mostCommas+1)+`0]}}]}]}`)), "8388608 commas"},
		"deep":               {with(reportName, bytes.Repeat([]byte(`[`), 1<<20)), "conformance.json: "},
		"a status not known": {with(reportName, bytes.Replace(content[reportName], []byte(`"status": "passed"`), []byte(`"status": "great"`), 1)), "unknown name"},
	} {
		if p, err := read(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want %q", name, p != nil, err, test.want)
		}
	}
	if _, err := read(good); err != nil {
		t.Errorf("the archive that all were made of: %v", err)
	}
}

// lie makes the directory of an archive say that its third member is small.
func lie(t *testing.T, data []byte) []byte {
	t.Helper()
	data = slices.Clone(data)
	at := int(binary.LittleEndian.Uint32(data[len(data)-6:]))
	for range 2 { // the lengths of name, extra field and comment
		at += 46 + int(binary.LittleEndian.Uint16(data[at+28:])) + int(binary.LittleEndian.Uint16(data[at+30:])) + int(binary.LittleEndian.Uint16(data[at+32:]))
	}
	if name := string(data[at+46:][:len(reportName)]); name != reportName {
		t.Fatalf("got member %q", name)
	}
	binary.LittleEndian.PutUint32(data[at+24:], 1000)
	return data
}

func link(t *testing.T, content map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range members {
		h := &zip.FileHeader{Name: n}
		if n == reportName {
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSampleIsTheSameEachTimeAndNobodysChoice(t *testing.T) {
	p, err := read(pack(t, honest()))
	if err != nil {
		t.Fatal(err)
	}
	a, b := p.Sample(20), p.Sample(20)
	if len(a) != 20 || !slices.Equal(a, b) || !slices.Equal(a[:5], p.Sample(5)) || len(slices.Compact(slices.Sorted(slices.Values(a)))) != 20 {
		t.Errorf("got %v and %v", a, b)
	}
	if n := len(p.Sample(1 << 30)); n != p.Report.Cases || p.Sample(-1) != nil || p.Sample(0) != nil {
		t.Errorf("all: got %d", n)
	}
	c := honest()
	c.Devices[0].Results[0].Seconds *= 2
	other, err := read(pack(t, c))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(other.Sample(20), a) {
		t.Error("another report gave the same sample")
	}
}

// FuzzRead reads anything: whatever is read must be checked without a panic, and what holds must be whole.
func FuzzRead(f *testing.F) {
	c := honest()
	f.Add(pack(f, c))
	for _, d := range c.Devices {
		d.Results = d.Results[:30]
	}
	small := pack(f, c)
	f.Add(small)
	f.Add(small[:len(small)/2])
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := read(data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read conformance package: ") {
				t.Errorf("got error %q", err)
			}
			return
		}
		if problems, _ := p.Verify(testProgram); len(problems) == 0 && (len(p.Report.Devices) == 0 || len(p.content) != len(members)) {
			t.Errorf("a package of %d devices and %d members holds", len(p.Report.Devices), len(p.content))
		}
	})
}
