"""`facefill methods`: what can fill holes."""

import json

from facefill.commands.options import AsJson


def methods(as_json: AsJson = False) -> None:
    """List every method: what it is, what it needs, what it scored."""
    from facefill.catalog import describe

    rows = describe()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'name':<22}{'kind':<11}{'needs':<9}{'params':>8}{'ms':>7}{'dB':>7}{'trained':>9}  paper")
    for row in rows:
        params = f"{row['params'] / 1e6:.1f} M" if row["params"] else "-"
        ms = f"{row['ms']:.0f}" if row["ms"] else "-"
        score = row["scores"].get("test-celeba/centre@256", "-")
        share = f"{row['paper_share']:.0%}" if row["paper_share"] else "-"
        print(
            f"{row['name']:<22}{row['kind']:<11}{row['needs'] or '-':<9}{params:>8}{ms:>7}{score:>7}{share:>9}  "
            f"{row['paper']}"
        )
    print(
        "ms: one face on two threads. dB: mean PSNR in the hole, centre@256 of test-celeba (docs/results.md). "
        "trained: share of\nthe paper's own training, pictures times pixels; under a half, a short-budget variant."
    )
