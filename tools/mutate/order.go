package main

import (
	"regexp"
	"slices"
)

// transformed matches convolutions that kernels of Winograd take: 3×3, a multiple of 4 filters, and all else is 1.
var transformed = regexp.MustCompile(`^conv2d/.*-k(\d*[02468][048]|\d*[13579][26]|[48])-g1/r3-s3-stride1,1-pad[\d,]+-dil1,1/`)

// transformedFirst brings them to the front: the others say nothing of these kernels.
func transformedFirst(cases []string) []string { return firstOf(cases, transformed) }

// divided matches convolutions whose weights are more than 65,536 texels.
var divided = regexp.MustCompile(`^conv2d/.*-c(65|176|184|189|192|513)-h\d+-w\d+-k(176|184|192|196|203|513)-g1/r3-s3-stride1,1-|^conv2d/n1-c513-h\d+-w\d+-k513-g1/`)

// special matches convolutions of numbers that are not finite, or near the end of float16.
var special = regexp.MustCompile(`^conv2d/(.*/(nan-payloads|infinite-[a-z]+)|n2-c17-h9-w7-k19-g1/r3-s3-stride2,2-.*/(nan|infinity|halflimit))$`)

// specialSoon brings one of them among those that are looked at first, and the others next.
func specialSoon(cases []string) []string {
	cases = firstOf(cases, special)
	n := 0
	for n < len(cases) && special.MatchString(cases[n]) {
		n++
	}
	if ordinary := glanceCases - 1; n > 1 && n+ordinary <= len(cases) {
		cases = slices.Concat(cases[n:n+ordinary], cases[:n], cases[n+ordinary:])
	}
	return cases
}

// firstOf brings the cases that match to the front.
func firstOf(cases []string, match *regexp.Regexp) []string {
	var first, rest []string
	for _, c := range cases {
		if match.MatchString(c) {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	return append(first, rest...)
}
