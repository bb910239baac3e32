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
	all_maps = split("own_exclusive own_versioned lfht ck_ht mutex rwlock" \
			" sharded", map, " ")
	good["own_exclusive"] = "released; may sleep"
	good["own_versioned"] = "released; one version"
	good["lfht"] = good["ck_ht"] = "the section ends"
	good["mutex"] = good["rwlock"] = good["sharded"] = "unlocked"
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
	if ($3 == "ns" && $5 < ($1 ~ /^map_/ ? map_seconds : seconds) / 4)
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

# A map's line: each thread count with its ratio to the best other map.
function map_lines(family, what, figure, title,
		n, m, key, t, i, k, shown, best, line, any) {
	for (t = 1; t <= count_thread; t++)
		for (m = 1; m <= all_maps; m++) {
			key = family "/" map[m] what "@" thread[t] "@" figure
			if (!(key in count))
				continue
			any = 1
			shown[t] = 1
			if (map[m] ~ /^own_/)
				continue
			if (!(t in best) || median(key) < best[t])
				best[t] = median(key)
		}
	if (!any)
		return
	printf "%s\n%-14s %-22s", title, "", "pointer good until"
	for (t = 1; t <= count_thread; t++)
		if (t in shown)
			printf " %24s %6s", thread[t] " thread" \
					(thread[t] > 1 ? "s" : ""), "ratio"
	printf "\n"
	for (m = 1; m <= all_maps; m++) {
		line = ""
		for (t = 1; t <= count_thread; t++) {
			if (!(t in shown))
				continue
			key = family "/" map[m] what "@" thread[t] "@" figure
			line = line sprintf(" %24s %6s", key in count ? \
				spread(key) : "-", key in count && best[t] ? \
				sprintf("%.2f", median(key) / best[t]) : "-")
		}
		if (line ~ /[0-9]/)
			printf "%-14s %-22s%s\n", name(map[m]), good[map[m]], \
					line
	}
	printf "\n"
}

function map_memory(	m, key) {
	if (!("map_memory/" map[all_maps] "@1@entry_bytes" in count))
		return
	printf "%-37s %12s %12s %12s\n", "Memory of a map, bytes", \
			"empty", "an entry", "resident"
	for (m = 1; m <= all_maps; m++) {
		key = "map_memory/" map[m] "@1@"
		if (key "entry_bytes" in count)
			printf "%-37s %12.0f %12.1f %12.1f\n", name(map[m]), \
				median(key "empty_bytes"), \
				median(key "entry_bytes"), \
				median(key "entry_resident_bytes")
	}
	printf "\n"
}

function maps(	n, i, j, e, v, family, title, entries, size, what) {
	n = split("read mix5 mix20 mix50 update churn grow put", family, " ")
	split("look-up;5 % updates;20 % updates;50 % updates;update;one in," \
		" one out;insert, from empty;insert, from empty", title, ";")
	split("1000 100000 1000000", entries, " ")
	split("8 100", size, " ")
	for (i = 1; i <= n; i++)
		for (v = 1; v <= 2; v++)
			for (e = 1; e <= 3; e++) {
				what = "/" entries[e] "/" size[v]
				map_lines("map_" family[i], what, \
					family[i] == "put" ? \
					"insert_p999_ns" : "ns", \
					"Map, " title[i] ", " entries[e] \
					" entries of " size[v] " bytes: " \
					(family[i] == "put" ? \
					"p99.9 of an insert, ns" : \
					"ns an operation, all threads" \
					" together"))
			}
	map_memory()
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
	maps()
	if (demo != "yes")
		everything()
	if (brief)
		printf "NOTE      %d runs were shorter than a quarter of the" \
			" time asked for, because the machine was\n" \
			"          busy when their length was chosen: run again" \
			" with less beside\n", brief
	exit failed
}
