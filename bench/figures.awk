# SPDX-License-Identifier: MIT
#
# figures.awk - the tables of doc/figures/README.md, of scripts/figures' files
#
# about.tsv: part, date, command, cpu, cores, kernel, compiler, commit, load;
# waiting.tsv: part, subject, where, figure, median, least, greatest, n.

FNR == 1 { file = FILENAME; sub(/.*\//, "", file) }
file == "about.tsv" {
	said[$1] = $2 ", `" $3 "` at " $8 ": " $4 ", " $5 " cores, " $6 ", " \
		$7 ($9 == "" ? "" : "; load " $9 " when it began")
	next
}
file == "waiting.tsv" {
	key = $1 SUBSEP $2 SUBSEP $3
	if (!(key in known)) {
		known[key]
		of[$1, ++count[$1]] = key
		subject[key] = $2
		where[key] = $3
	}
	mid[key, $4] = $5; low[key, $4] = $6; high[key, $4] = $7
	next
}
file == "flood.tsv" {
	if (FNR == 1)
		next
	flood_n++
	flood_s = $1
	rates[flood_n] = $2
	if ($3 > pending_max)
		pending_max = $3
	if (flood_n == 1)
		rss_first = $4
	if ($4 > rss_max)
		rss_max = $4
	next
}
file == "hour.tsv" { hours[++hours_n] = $0 }

function number(x) {
	return x >= 100 || x == int(x) ? sprintf("%.0f", x) : sprintf("%.3g", x)
}
function time(ns) {
	return ns < 1000 ? number(ns) " ns" : ns < 1000000 ? \
		number(ns / 1000) " us" : number(ns / 1000000) " ms"
}
# median (least to greatest)
function plain(key, figure) {
	if (!((key, figure) in mid))
		return "-"
	return number(mid[key, figure]) " (" number(low[key, figure]) " to " \
		number(high[key, figure]) ")"
}
function close_up(key, figure) {
	return sprintf("%.2f (%.2f to %.2f)", mid[key, figure],
		low[key, figure], high[key, figure])
}
function timed(key, figure) {
	if (!((key, figure) in mid))
		return "-"
	return time(mid[key, figure]) " (" time(low[key, figure]) " to " \
		time(high[key, figure]) ")"
}
function head(part, title) {
	printf "## %s\n\n%s.\n\n", title, said[part]
}
function row(text) { print "| " text " |" }

END {
	if (count["past"]) {
		head("past", "Others served before one's turn")
		print "![](past.svg)\n"
		row("object | threads | who waits | passed by, p99.9 | most | " \
			"most since its first sleep | most since overtaken " \
			"for 5 ms | wait p50 | p99 | most")
		row("--- | --- | --- | --- | --- | --- | --- | --- | --- | ---")
		for (i = 1; i <= count["past"]; i++) {
			key = of["past", i]
			for (s = 0; s < 2; s++) {
				who = s ? "share" : "claim"
				if (!((key, who "_past_n") in mid))
					continue
				row(subject[key] " | " where[key] " | " who \
					" | " plain(key, who "_past_p999") \
					" | " plain(key, who "_past_max") \
					" | " plain(key, who "_slept_max") \
					" | " plain(key, who "_overtaken_max") \
					" | " timed(key, who "_wait_p50") \
					" | " timed(key, who "_wait_p99") \
					" | " timed(key, who "_wait_max"))
			}
			behind += mid[key, "behind"] * 1
			overtook += high[key, "overtook"] * 1
		}
		printf "\nReaders that asked behind a waiting claimer, in a " \
			"median run: %d. Let in before it, in any run: %d.\n\n",
			behind, overtook
	}
	if (count["found"]) {
		head("found", "Until a deadlock is told")
		print "![](found.svg)\n"
		row("ring of | threads | since it closed, p50 | most | " \
			"victim's processor time, p50 | most | budget 10 ms")
		row("--- | --- | --- | --- | --- | --- | ---")
		for (i = 1; i <= count["found"]; i++) {
			key = of["found", i]
			row(subject[key] " | " where[key] " | " \
				timed(key, "wall_p50") " | " \
				timed(key, "wall_max") " | " \
				timed(key, "cpu_p50") " | " \
				timed(key, "cpu_max") " | " \
				(high[key, "cpu_max"] <= 1e7 ? "met" : \
					"**missed**"))
		}
		print ""
	}
	if (count["late"]) {
		head("late", "How late a deadline is kept")
		print "![](late.svg)\n"
		row("wait | others | p50 | p99 | most")
		row("--- | --- | --- | --- | ---")
		for (i = 1; i <= count["late"]; i++) {
			key = of["late", i]
			row(subject[key] " | " where[key] " | " \
				timed(key, "late_p50") " | " \
				timed(key, "late_p99") " | " \
				timed(key, "late_max"))
		}
		print ""
	}
	if (count["places"]) {
		head("places", "What a noted place costs")
		print "![](places.svg)\n"
		row("verbs | place | ns | of noted, in turn")
		row("--- | --- | --- | ---")
		for (i = 1; i <= count["places"]; i++) {
			key = of["places", i]
			row(subject[key] " | " where[key] " | " \
				close_up(key, "ns") " | " \
				close_up(key, "of_noted"))
		}
		print ""
	}
	if (flood_n) {
		head("flood", "Memory beside a sleeping reader")
		print "![](flood.svg)\n"
		for (i = 1; i <= flood_n; i++)
			rate += rates[i] / flood_n
		printf "%d s, %.2f million retirements a second in the mean; " \
			"at most %.0f KiB pending; resident %.2f MiB after " \
			"the first second, at most %.2f MiB.\n\n", flood_s,
			rate / 1e6, pending_max / 1024, rss_first / 1048576,
			rss_max / 1048576
	}
	if (hours_n) {
		head("hour", "An hour of legal waits")
		row("case | started | threads | seconds | operations | sleeps | " \
			"deadlock checks | false alarms")
		row("--- | --- | --- | --- | --- | --- | --- | ---")
		for (i = 1; i <= hours_n; i++) {
			gsub(/\t/, " | ", hours[i])
			row(hours[i] " | 0")
		}
		print ""
	}
}
