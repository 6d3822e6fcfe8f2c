package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
)

// edit replaces the bytes Start to End of a file.
type edit struct {
	operator   string
	start, end int
	text       string
}

// mutant is one small change of one file.
type mutant struct {
	ID       string // file/operator/hash: the same as long as the line that it changes is
	File     string // by its path in the module
	Operator string
	Line     int
	Diff     string // the changed lines before and after, each with its sign in front
	Why      string // of the mutants written by hand: the mistake that it stands for
	source   string // the whole file, mutated
}

// makeMutants applies each edit alone. The ID has a hash of the line, of the place in it and of what it becomes, and
// not of the line's number: a change elsewhere in the file leaves it alone. Lines that are alike are told apart by their order.
func makeMutants(file, source string, edits []edit, why func(i int) string) []mutant {
	var out []mutant
	seen := map[string]int{}
	for i, e := range edits {
		lineStart := strings.LastIndexByte(source[:e.start], '\n') + 1
		lineEnd := e.end + strings.IndexByte(source[e.end:]+"\n", '\n')
		mutated := source[:e.start] + e.text + source[e.end:]
		if mutated == source {
			continue
		}
		before, after := source[lineStart:lineEnd], source[lineStart:e.start]+e.text+source[e.end:lineEnd]
		what := fmt.Sprintf("%s\n%s\n%d", strings.TrimSpace(before), strings.TrimSpace(after), e.start-lineStart-indent(before))
		id := fmt.Sprintf("%s/%s/%s", strings.TrimPrefix(strings.TrimPrefix(file, "shaders/glsl/"), "backend/"), e.operator, shortHash(what))
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s-%d", id, seen[id])
		}
		m := mutant{ID: id, File: file, Operator: e.operator, Line: 1 + strings.Count(source[:e.start], "\n"), Diff: diff(before, after), source: mutated}
		if why != nil {
			m.Why = why(i)
		}
		out = append(out, m)
	}
	return out
}

func indent(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// diff lists the lines that differ, - before and + after, without those that both share at the ends.
func diff(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var out strings.Builder
	for _, l := range a {
		fmt.Fprintf(&out, "- %s\n", strings.TrimSpace(l))
	}
	for _, l := range b {
		if strings.TrimSpace(l) != "" || len(b) == 1 {
			fmt.Fprintf(&out, "+ %s\n", strings.TrimSpace(l))
		}
	}
	return out.String()
}

// sample takes n mutants of each file, spread by a hash of their IDs: the same ones each time, and those of a smaller n among
// them. What was written by hand is always taken. 0 is all.
func sample(all []mutant, n int) []mutant {
	if n <= 0 {
		return all
	}
	byHash := append([]mutant(nil), all...)
	sort.Slice(byHash, func(i, j int) bool { return shortHash(byHash[i].ID) < shortHash(byHash[j].ID) })
	taken, chosen := map[string]int{}, map[string]bool{}
	for _, m := range byHash {
		if m.Why == "" {
			taken[m.File]++
		}
		chosen[m.ID] = m.Why != "" || taken[m.File] <= n
	}
	var out []mutant
	for _, m := range all {
		if chosen[m.ID] {
			out = append(out, m)
		}
	}
	return out
}

// shard takes every n-th mutant from the i-th on, i from 1.
func shard(all []mutant, i, n int) []mutant {
	var out []mutant
	for k, m := range all {
		if k%n == i-1 {
			out = append(out, m)
		}
	}
	return out
}
