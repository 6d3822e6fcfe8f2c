package submission

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/resnet-run/resnet-run/internal/report"
)

// The limits of [Read]: ten times what the largest profile needs on ten devices.
const (
	mostArchiveBytes   = 64 << 20
	mostMemberBytes    = 96 << 20
	mostDirectoryBytes = 4 << 10 // of the archive's list of members
	// JSON of few bytes may mean much memory: of the report's objects and commas there may be so many.
	mostObjects, mostCommas = 1 << 19, 1 << 23
)

// Package is a package that was read.
type Package struct {
	Report report.Conformance // as it stands in the package: nothing worked out again
	// content has every member.
	content map[string][]byte
}

// Read reads a package of size bytes.
//
// Limits: at most 64 MiB, exactly the members of a package, each at most 96 MiB when it is unpacked. Memory is bounded by
// what the members really have, whatever the archive says of them.
//
// Errors: an archive that is damaged or too large, a member that is missing, doubled or unknown, a report that cannot be
// read; each names the member.
func Read(r io.ReaderAt, size int64) (*Package, error) {
	p := &Package{content: map[string][]byte{}}
	files, err := directory(r, size)
	if err != nil {
		return nil, fmt.Errorf("read conformance package: %w", err)
	}
	for _, f := range files {
		data, err := readMember(f)
		if err != nil {
			return nil, fmt.Errorf("read conformance package: %.80q: %w", f.Name, err)
		}
		p.content[f.Name] = data
	}
	if p.Report, err = readReport(p.content[reportName]); err != nil {
		return nil, fmt.Errorf("read conformance package: %s: %w", reportName, err)
	}
	return p, nil
}

// directory lists the members of the archive, after its size and its end have been looked at: a reader of archives
// believes both.
func directory(r io.ReaderAt, size int64) ([]*zip.File, error) {
	// End of central directory record, without a comment: signature, two disk numbers, two counts, then the size and the
	// place of the directory (APPNOTE.TXT, 4.3.16).
	const endBytes = 22
	if size < endBytes || size > mostArchiveBytes {
		return nil, fmt.Errorf("archive: want %d to %d bytes, got %d", endBytes, mostArchiveBytes, size)
	}
	var end [endBytes]byte
	if _, err := r.ReadAt(end[:], size-endBytes); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if !bytes.HasPrefix(end[:], []byte("PK\x05\x06")) {
		return nil, errors.New("archive: want a zip archive without a comment at its end, got something else")
	}
	count, length, at := binary.LittleEndian.Uint16(end[10:]), int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if int(count) != len(members) || length > mostDirectoryBytes || at+length != size-endBytes {
		return nil, fmt.Errorf("archive: want %d members in a directory at the end of at most %d bytes, got %d members in %d bytes at %d of %d", len(members), mostDirectoryBytes, count, length, at, size)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	seen := map[string]bool{}
	for _, f := range z.File {
		switch {
		case !slices.Contains(members, f.Name):
			return nil, fmt.Errorf("%.80q: want one of %v", f.Name, members)
		case seen[f.Name]:
			return nil, fmt.Errorf("%q: it is there twice", f.Name)
		case !f.Mode().IsRegular():
			return nil, fmt.Errorf("%q: want a plain file, got mode %v", f.Name, f.Mode())
		case f.Flags&1 != 0:
			return nil, fmt.Errorf("%q: want it unencrypted", f.Name)
		case f.UncompressedSize64 > mostMemberBytes:
			return nil, fmt.Errorf("%q: want at most %d bytes, got %d", f.Name, mostMemberBytes, f.UncompressedSize64)
		}
		seen[f.Name] = true
	}
	for _, name := range members {
		if !seen[name] {
			return nil, fmt.Errorf("%q: it is missing", name)
		}
	}
	return z.File, nil
}

// readMember unpacks a member. The buffer grows with what is really there.
func readMember(f *zip.File) ([]byte, error) {
	m, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer m.Close() //nolint:errcheck // it was only read
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(m, mostMemberBytes+1)); err != nil {
		return nil, err
	}
	if b.Len() > mostMemberBytes {
		return nil, fmt.Errorf("want at most %d bytes, got more", mostMemberBytes)
	}
	return b.Bytes(), nil
}

// readReport reads the report as it stands.
func readReport(data []byte) (c report.Conformance, err error) {
	if o, n := bytes.Count(data, []byte("{")), bytes.Count(data, []byte(",")); o > mostObjects || n > mostCommas {
		return c, fmt.Errorf("want at most %d objects and %d commas, got %d and %d", mostObjects, mostCommas, o, n)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	for i, d := range c.Devices {
		if d == nil {
			return c, fmt.Errorf("devices: entry %d: want an object, got null", i)
		}
	}
	return c, nil
}

// Claim is what the package says.
func (p *Package) Claim() report.Claim {
	f := newFront(p.Report)
	c := report.Claim{Version: f.Program, Profile: f.Profile, Seed: f.Seed, Cases: f.Cases, Waivers: len(f.Waivers), Conformant: p.Report.Conformant, Verdict: p.Report.Verdict}
	for _, d := range f.Devices {
		verdict := "conformant"
		if !d.Conformant {
			verdict = "not conformant: " + d.Verdict
		}
		c.Devices = append(c.Devices, report.ClaimDevice{Target: d.Target, Name: d.Name, Driver: d.Driver + ", " + d.API, Verdict: verdict, Cases: d.Summary.String()})
	}
	return c
}
