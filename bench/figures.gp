# SPDX-License-Identifier: MIT
#
# figures.gp - the drawings of doc/figures/, of the files there
set terminal svg size 760,520 background "white" font "sans,12"
set datafile separator "\t"
set grid
has(part) = int(system("grep -c ^".part." about.tsv || true")) > 0
set key outside below center horizontal noenhanced maxcols 2 width 2

if (has("past")) {
set output "past.svg"
set title "Requests that more than so many others were served before"
set logscale xy
set format xy "10^{%L}"
set xlabel "others served (and one)"
set ylabel "part of the requests"
set xrange [1:*]
set yrange [1e-7:1]
past(s, w, f) = sprintf("< awk -F'\\t' '$1 == \"%s\" && $2 == \"%s\" && $3 == \"%s\" && $5 > 0' past.tsv", s, w, f)
plot past("cell", "all claim", "claim_past") using ($4+1):5 with linespoints title "cell, all claim", \
	past("cell", "one claims", "claim_past") using ($4+1):5 with linespoints title "cell, the one claimer", \
	past("cell", "one shares", "share_past") using ($4+1):5 with linespoints title "cell, the one reader", \
	past("whole map", "one claim_all, share_all", "claim_past") using ($4+1):5 with linespoints title "whole map, the one claimer", \
	past("whole map", "one share_all", "share_past") using ($4+1):5 with linespoints title "whole map, the one reader", \
	past("pthread mutex", "all lock", "claim_past") using ($4+1):5 with linespoints title "pthread mutex", \
	past("pthread rwlock", "one writes", "claim_past") using ($4+1):5 with linespoints title "rwlock, the one writer", \
	past("pthread rwlock, writers first", "one reads", "share_past") using ($4+1):5 with linespoints title "rwlock, writers first, the one reader"
}

if (has("found")) {
set output "found.svg"
set title "From the closing of a cycle to -EDEADLK: cells, entries, whole maps mixed"
set xlabel "threads in the cycle"
set ylabel "ms"
set logscale xy
set format xy "%g"
set xrange [1.5:20]
set yrange [0.01:20]
set xtics (2, 3, 8, 16)
found(busy, f) = sprintf("< awk -F'\\t' '$1 == \"found\" && $2 == \"mixed\" && $3 ~ / %s busy/ && $4 == \"%s\"' waiting.tsv | sed 's/ threads, . busy//; s/ threads, .. busy//' | sort -t'\t' -k3,3n", busy, f)
plot found("0", "wall_p50") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "wall, p50, 0 busy", \
	found("0", "wall_max") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "wall, most, 0 busy", \
	found("16", "wall_p50") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "wall, p50, 16 busy", \
	found("16", "wall_max") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "wall, most, 16 busy", \
	found("0", "cpu_max") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "victim's CPU, most, 0 busy", \
	found("16", "cpu_max") using 3:($5/1e6):($6/1e6):($7/1e6) with yerrorlines title "victim's CPU, most, 16 busy", \
	10 with lines dashtype 2 title "budget of CPU"
}

if (has("late")) {
set output "late.svg"
set title "How late a wait returns after its deadline: median run's p50 and p99"
unset logscale x
set xlabel
set ylabel "us late"
set logscale y
set format xy "%g"
set xrange [-.5:6.5]
set yrange [10:*]
set xtics auto rotate by -25 noenhanced
late(w, f) = sprintf("< awk -F'\\t' '$1 == \"late\" && $3 %s \"0 busy\" && $4 == \"%s\"' waiting.tsv", w, f)
plot late("==", "late_p50") using ($0-.15):($5/1e3):($6/1e3):($7/1e3):xtic(2) with yerrorbars title "idle, p50", \
	late("==", "late_p99") using ($0-.05):($5/1e3):($6/1e3):($7/1e3) with yerrorbars title "idle, p99", \
	late("!=", "late_p50") using ($0+.05):($5/1e3):($6/1e3):($7/1e3) with yerrorbars title "8:1, p50", \
	late("!=", "late_p99") using ($0+.15):($5/1e3):($6/1e3):($7/1e3) with yerrorbars title "8:1, p99"
}

if (has("places")) {
set output "places.svg"
set title "One thread's share or claim, and release: median, least and greatest"
unset logscale
set format xy "%g"
set xtics auto rotate by -25 noenhanced
set xrange [-.5:5.5]
set ylabel "ns of processor time"
set yrange [0:*]
set style fill solid 0.4
plot "< awk -F'\\t' '$1 == \"places\" && $4 == \"ns\"' waiting.tsv" using 0:5:6:7:(0.6):xtic(stringcolumn(2)." ".stringcolumn(3)) with boxerrorbars notitle
}

if (has("flood")) {
set output "flood.svg"
set title "Retirements as fast as they go, beside a reader that sleeps"
set xlabel "seconds"
set ylabel "MiB"
set y2label "million retirements a second"
unset logscale
set format xy "%g"
set xrange [0:*]
set yrange [0:*]
set xtics auto norotate
set y2tics
set y2range [0:*]
set ytics nomirror
plot "flood.tsv" every ::1 using 1:($4/1048576) with lines title "resident", \
	"" every ::1 using 1:($3/1048576) with lines title "pending", \
	"" every ::1 using 1:($2/1e6) axes x1y2 with lines title "retired/s (right)"
}

