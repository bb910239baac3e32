# SPDX-License-Identifier: MIT
#
# tables.awk - tables from lines of: case, threads, figure, value, run's seconds

BEGIN {
	FS = "\t"
	subjects = "own_exclusive own_versioned rcu_inline mutex rwlock" \
			" spin global"
	if (demo != "yes")
		subjects = subjects " rust_mutex rust_rwlock" \
			" parking_lot_mutex parking_lot_rwlock arc_swap"
	all = split(subjects, subject, " ")
	count_thread = split("1 2 8", thread, " ")
	if (cores != 1 && cores != 2 && cores != 8)
		thread[++count_thread] = cores
}

$3 == "error" {
	printf "FAILED    %s, %d threads: %s\n", $1, $2, $4
	failed = 1
	next
}

{
	key = $1 "@" $2 "@" $3
	if (!(key in count)) {
		order[++keys] = key
		count[key] = 0
	}
	if ($3 == "ns" && $5 < seconds / 4)
		brief++
	v = $4 + 0
	for (i = count[key]++; i > 0 && sample[key, i - 1] > v; i--)
		sample[key, i] = sample[key, i - 1]
	sample[key, i] = v
}

function median(key,	n) {
	n = count[key]
	if (n % 2)
		return sample[key, (n - 1) / 2]
	return (sample[key, n / 2 - 1] + sample[key, n / 2]) / 2
}

function short(v) {
	if (v >= 1000)
		return sprintf("%.0f", v)
	if (v >= 10)
		return sprintf("%.1f", v)
	return sprintf("%.2f", v)
}

function spread(key) {
	return short(median(key)) " (" short(sample[key, 0]) ".." \
			short(sample[key, count[key] - 1]) ")"
}

# One line against the best of @peers. strict: equal is not enough.
function budget(work, case_, threads, figure, peers, limit, strict,
		key, n, list, i, best, best_key, k, ratio) {
	key = case_ "@" threads "@" figure
	if (!(key in count))
		return
	n = split(peers, list, " ")
	best_key = ""
	for (i = 1; i <= n; i++) {
		k = list[i] "@" threads "@" figure
		if (k in count && (best_key == "" || median(k) < best)) {
			best = median(k)
			best_key = k
		}
	}
	if (best_key == "" || best == 0)
		return
	ratio = median(key) / best
	if (!budgets++)
		printf "%-34s %2s  %-25s %-31s %-25s %6s %7s\n", \
				"BUDGETS (ns, median, min..max)", "T", \
				"libown", "peer", "", "ratio", "budget"
	split(best_key, list, "@")
	printf "%-34s %2d  %-25s %-31s %-25s %6.2f %s%6.2f %s\n", work, \
			threads, spread(key), list[1], spread(best_key), \
			ratio, strict ? "<" : " ", limit, \
			(strict ? ratio < limit : ratio <= limit) ? \
			"met" : "MISSED"
}

function all_budgets(	i, p, t, k, n, m, policy, pct, peer, peers, off, verb) {
	n = split("own_exclusive own_versioned", policy, " ")
	for (i = 1; i <= n; i++)
		for (t = 1; t <= count_thread; t++)
			if (thread[t] == 1 || thread[t] == cores)
				budget("share+read+release " policy[i], \
					"one/" policy[i], thread[t], "ns", \
					"one/rcu_inline", 1.2, 0)
	for (i = 1; i <= n; i++) {
		budget("share+read+release " policy[i], "one/" policy[i], 1, \
				"ns", "one/mutex", 1 / 3, 0)
		budget("share+read+release " policy[i], "one/" policy[i], 1, \
				"ns", "one/rwlock", 1 / 5, 0)
	}
	split("1 10", pct, " ")
	for (p = 1; p <= 2; p++)
		for (t = 1; t <= count_thread; t++) {
			if (thread[t] == 1)
				continue
			peers = ""
			m = split("rcu_inline rcu mutex rwlock spin rust_mutex" \
				" rust_rwlock parking_lot_mutex" \
				" parking_lot_rwlock arc_swap", peer, " ")
			for (k = 1; k <= m; k++)
				peers = peers " mix/" peer[k] "/" pct[p]
			budget("versioned, " pct[p] " % writes", \
				"mix/own_versioned/" pct[p], thread[t], "ns", \
				peers, 1, 1)
		}
	for (t = 1; t <= count_thread; t++)
		if (thread[t] != 1)
			budget("exclusive, 100 % writes", \
				"mix/own_exclusive/100", thread[t], "ns", \
				"mix/mutex/100 mix/rwlock/100 mix/spin/100" \
				" mix/rust_mutex/100 mix/rust_rwlock/100" \
				" mix/parking_lot_mutex/100" \
				" mix/parking_lot_rwlock/100", 1, 1)
	budget("claim+write+release", "write/own_exclusive", 1, "ns", \
			"write/mutex", 1.3, 0)
	for (t = 1; t <= count_thread; t++)
		budget("replace, a cell each", "replace/own_cell_each", \
				thread[t], "ns", "replace/malloc", 2, 0)
	for (t = 1; t <= count_thread; t++)
		budget("replace, one cell for all", "replace/own_one_cell", \
				thread[t], "ns", "replace/malloc", 2, 0)
	for (i = 1; i <= n; i++) {
		budget("places noted, " policy[i], "one/" policy[i], 1, "ns", \
				"one/" policy[i] "_no_place", 1.05, 0)
		budget("slot records, " policy[i], "one/" policy[i], 1, "ns", \
				"one/" policy[i] "_bare", 1.05, 0)
	}
	for (i = 1; i <= n; i++)
		for (k = 1; k <= 2; k++) {
			off = k == 1 ? "" : "_no_membarrier"
			m = split("claim commit share", verb, " ")
			for (p = 1; p <= m; p++)
				budget("p99.9 " verb[p] ", " policy[i], \
					"latency/" policy[i] off "/10", 2, \
					verb[p] "_p999_ns", \
					"latency/rwlock" off "/10", 1, 0)
		}
	if (budgets)
		printf "\n"
}

# Millions of operations a second: subjects across, threads and writes down.
function matrix(family, title, pcts,	n, m, pct, t, p, s, key, shown, width, line) {
	n = split(pcts, pct, " ")
	m = 0
	for (s = 1; s <= all; s++)
		for (key in count)
			if (index(key, family "/" subject[s] "/") == 1) {
				shown[++m] = subject[s]
				break
			}
	if (!m)
		return
	printf "%s\n%7s %8s", title, "threads", "writes"
	for (s = 1; s <= m; s++) {
		width[s] = length(name(shown[s])) + 2
		if (width[s] < 8)
			width[s] = 8
		printf "%" width[s] "s", name(shown[s])
	}
	printf "\n"
	for (t = 1; t <= count_thread; t++)
		for (p = 1; p <= n; p++) {
			line = ""
			for (s = 1; s <= m; s++) {
				key = family "/" shown[s] "/" pct[p] "@" \
						thread[t] "@ns"
				line = line sprintf("%" width[s] "s", \
					key in count ? sprintf("%.1f", \
					1000 / median(key)) : "-")
			}
			if (line ~ /[0-9]/)
				printf "%7d %6d %%%s\n", thread[t], pct[p], line
		}
	printf "\n"
}

function name(s) {
	gsub(/_/, " ", s)
	sub(/rcu inline/, "liburcu", s)
	sub(/global/, "global lock", s)
	return s
}

function everything(	i, part, sort) {
	printf "%-44s %2s  %-15s %s\n", "ALL CASES", "T", "figure", \
			"median (min..max)"
	fflush()
	sort = "LC_ALL=C sort"
	for (i = 1; i <= keys; i++) {
		split(order[i], part, "@")
		printf "%-44s %2d  %-15s %s\n", part[1], part[2], part[3], \
				spread(order[i]) | sort
	}
	close(sort)
}

END {
	if (demo != "yes")
		all_budgets()
	matrix("mix", "One cell, 64-byte value: million operations a second", \
			"0 1 10 100")
	matrix("request", "The same behind a quarter of a microsecond of" \
			" each request's own work", "10")
	if (demo != "yes")
		everything()
	if (brief)
		printf "NOTE      %d runs were shorter than a quarter of the" \
			" %s s asked for, because the machine was\n" \
			"          busy when their length was chosen: run again" \
			" with less beside\n", brief, seconds
	exit failed
}
