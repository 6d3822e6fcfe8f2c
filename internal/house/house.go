// Package house holds the rules of the source tree as tests: which package may import which, how long files may be,
// and that every package says what it is for.
package house
