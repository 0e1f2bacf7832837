"""`python -m infra.monitoring.grafana` writes the dashboards, and removes the files of former ones."""

from infra.monitoring.grafana.generating import FOLDER, generated

if __name__ == "__main__":
    files = generated()
    FOLDER.mkdir(exist_ok=True)
    for former in set(FOLDER.glob("*.json")) - files.keys():
        former.unlink()
    for path, text in files.items():
        path.write_text(text)
