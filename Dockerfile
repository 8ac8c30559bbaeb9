FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 sferica
WORKDIR /srv/sferica
COPY pyproject.toml ./
COPY scripts/bootstrap.py scripts/
RUN python scripts/bootstrap.py
ENV PATH=/srv/sferica/.venv/bin:$PATH
COPY . .
RUN mkdir -p /var/lib/sferica staticfiles && chown sferica /var/lib/sferica staticfiles
USER sferica
ENV STATE_DIR=/var/lib/sferica
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "-c", "config/gunicorn.py"]
