{# Installs R's packages into a library of their own: what the repository's DESCRIPTION needs and Debian does not have in
   that version, then what its install.R does. Runs as the user of the image, and what it runs is not to be trusted.
   The addresses of mirrors come from the host's settings. A package that cannot be had is an error here, where R would
   only warn: the image is kept, and would lack it for good. #}
set -eu
. /run/binder/environment
export R_LIBS_USER={{ prefix }}/r R_PROFILE_USER=/tmp/r/profile.R TMPDIR=/tmp TZ=UTC LC_ALL=C.UTF-8
mkdir -p "$R_LIBS_USER" /tmp/r
cat >/tmp/r/profile.R <<'END'
local({
    snapshot <- "{{ snapshot or "" }}"
    url <- Sys.getenv(if (nzchar(snapshot)) "BINDER_CRAN_SNAPSHOT_URL" else "BINDER_CRAN_URL")
    if (nzchar(snapshot) && !nzchar(url)) {
        cat("--- R: no snapshots: ", snapshot, "\n", sep = "")
        quit("no", 1, FALSE)
    }
    url <- sub("{date}", snapshot, sub("{suite}", "{{ suite }}", url, fixed = TRUE), fixed = TRUE)
    if (nzchar(url)) options(repos = c(CRAN = url))
    options(Ncpus = max(1L, parallel::detectCores(), na.rm = TRUE), timeout = 300)
})
END
cat >/tmp/r/strictly.R <<'END'
strictly <- function(place, code) {
    failed <- paste0(
        "(is|are) not available|had non-zero exit status|installation of one or more packages failed|",
        "unable to access index for repository|download of package .* failed"
    )
    tell <- function(condition) {
        cat("\n--- R: ", place, ": ", gsub("[[:space:]]+", " ", conditionMessage(condition)), "\n", sep = "")
        quit("no", 1, FALSE)
    }
    warned <- function(condition) if (grepl(failed, conditionMessage(condition))) tell(condition)
    withCallingHandlers(code, error = tell, warning = warned)
}
END
{% if needs %}
cat >/tmp/r/needs.R <<'END'
source("/tmp/r/strictly.R")
local({
    needs <- list({% for need in needs %}c("{{ need.name }}", "{{ need.relation }}", "{{ need.version }}", "{{ need.line }}"){% if not loop.last %}, {% endif %}{% endfor %})
    fits <- function(need) {
        has <- tryCatch(as.character(packageVersion(need[1])), error = function(absent) NULL)
        !is.null(has) && (!nzchar(need[2]) || do.call(need[2], list(compareVersion(has, need[3]), 0)))
    }
    missing <- Filter(Negate(fits), needs)
    if (length(missing)) strictly("DESCRIPTION", install.packages(vapply(missing, `[`, "", 1)))
    for (need in Filter(Negate(fits), needs)) {
        place <- paste("DESCRIPTION line", need[4])
        strictly(place, stop("there is no ", need[1], " ", need[2], " ", need[3], call. = FALSE))
    }
})
END
Rscript /tmp/r/needs.R
{% endif %}
{% if install %}
cat >/tmp/r/run.R <<'END'
(function() {
    source("/tmp/r/strictly.R", local = TRUE)
    install <- strictly("install.R", parse("/run/asked/install.R", keep.source = TRUE, encoding = "UTF-8"))
    for (number in seq_along(install)) {
        place <- paste("install.R line", attr(install, "srcref")[[number]][1])
        result <- strictly(place, withVisible(eval(install[[number]], globalenv())))
        if (result$visible) print(result$value)
    }
})()
END
cd ~
Rscript /tmp/r/run.R || { echo "--- R: install.R: it ended with status $?"; exit 1; }
{% endif %}
rm -rf /tmp/r /tmp/downloaded_packages
